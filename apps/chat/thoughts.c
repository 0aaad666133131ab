/* A mark may come in pieces, so that its beginning is held back until it is one or is none. */
#include "chat/thoughts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/text_print.h"

static const char opening[] = "<think>", closing[] = "</think>";

static void put(struct thoughts *t, const char *bytes, size_t n)
{
    if (t->within && t->mode == THOUGHTS_HIDE)
        return;
    for (; t->skip && n > 0 && isspace((unsigned char)*bytes); n--)
        bytes++;
    t->skip = t->skip && n == 0;
    text_print(stdout, bytes, n);
}

static void dim(const struct thoughts *t, bool on)
{
    if (t->mode == THOUGHTS_DIM)
        fputs(on ? "\033[2m" : "\033[22m", stdout);
}

/* The marks themselves belong to the thoughts. */
static void change(struct thoughts *t, const char *mark)
{
    t->begun = true;
    if (!t->within) {
        t->within = true;
        dim(t, true);
        put(t, mark, strlen(mark));
        return;
    }
    put(t, mark, strlen(mark));
    dim(t, false);
    t->within = false;
    t->skip = t->mode == THOUGHTS_HIDE;
}

static void release(struct thoughts *t)
{
    t->begun = t->begun || t->n_held > 0;
    put(t, t->held, t->n_held);
    t->n_held = 0;
}

/* Whether the byte is a part of a mark, as far as one can see. If not, what was held back is printed. */
static bool hold(struct thoughts *t, char c)
{
    const char *mark = t->within ? closing : opening;
    const bool allowed = t->within || !t->begun;
    if (!allowed || c != mark[t->n_held])
        release(t);
    if (!allowed || c != mark[t->n_held])
        return false;
    t->held[t->n_held++] = c;
    if (t->n_held == strlen(mark)) {
        t->n_held = 0;
        change(t, mark);
    }
    return true;
}

void thoughts_print(void *user, const char *bytes, size_t n)
{
    struct thoughts *t = user;
    size_t plain = 0; /* bytes in a row that no mark is in, printed as one: characters stay whole */
    if (t->within && !t->begun)
        dim(t, true);
    for (size_t i = 0; i < n; i++) {
        if (t->n_held > 0 || bytes[i] == '<') {
            put(t, bytes + i - plain, plain);
            plain = 0;
            if (hold(t, bytes[i]))
                continue;
        }
        plain++;
        t->begun = t->begun || t->within || !isspace((unsigned char)bytes[i]);
    }
    put(t, bytes + n - plain, plain);
    fflush(stdout);
}

void thoughts_end(struct thoughts *t)
{
    release(t);
    if (t->within)
        dim(t, false);
    fflush(stdout);
}

const char *thoughts_skip(const char *text, bool within)
{
    const char *begin = text;
    while (isspace((unsigned char)*begin))
        begin++;
    if (!within && strncmp(begin, opening, strlen(opening)) != 0)
        return text;
    const char *end = strstr(begin, closing);
    if (!end)
        return begin + strlen(begin); /* stopped while it thought */
    end += strlen(closing);
    while (isspace((unsigned char)*end))
        end++;
    return end;
}

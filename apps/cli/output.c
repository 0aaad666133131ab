/* Small services around the result of a subcommand. */
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "viz/picture/text.h"

/* Jansson says that memory ran out by leaving a value out, or a character of a string that it reads, so its allocations
 * are watched: a result that lacks something is an error, not a result. */
static bool lacks_something;

static void *json_memory(size_t n_bytes)
{
    void *memory = malloc(n_bytes);
    lacks_something = lacks_something || !memory;
    return memory;
}

void json_watch_memory(void)
{
    json_set_alloc_funcs(json_memory, free);
}

bool json_lacks_memory(void)
{
    return lacks_something;
}

void json_put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value ? value : json_null());
}

void json_put_number(json_t *object, const char *key, double value)
{
    json_put(object, key, isfinite(value) ? json_real(value) : json_null());
}

void json_put_count(json_t *object, const char *key, uint64_t value)
{
    json_put(object, key, json_integer((json_int_t)value));
}

/* Whether `n` bytes are the beginning of a character: the least or the greatest continuation completes them. */
static bool is_cut_character(const char *bytes, size_t n)
{
    char low[4] = "\x80\x80\x80\x80", high[4] = "\xbf\xbf\xbf\xbf";
    uint32_t code;

    memcpy(low, bytes, n);
    memcpy(high, bytes, n);
    return pv_text_char(low, 4, &code) > n || pv_text_char(high, 4, &code) > n;
}

size_t text_whole_utf8(const char *bytes, size_t n)
{
    for (size_t tail = 1; tail <= 3 && tail <= n; tail++) {
        const char *at = bytes + n - tail;
        const unsigned char lead = (unsigned char)*at;

        if (lead >= 0xc0)
            return is_cut_character(at, tail) ? n - tail : n;
        if (lead < 0x80)
            return n;
    }
    return n;
}

void json_put_text(json_t *object, const char *key, const char *bytes, size_t n)
{
    struct text clean = {0};
    bool good = text_append(&clean, "", 0);
    for (size_t i = 0; good && i < n;) {
        uint32_t code;
        const size_t length = pv_text_char(bytes + i, n - i, &code);

        good = length > 0 ? text_append(&clean, bytes + i, length) : text_append(&clean, "\xef\xbf\xbd", 3);
        i += length > 0 ? length : 1;
    }
    lacks_something = lacks_something || !good;
    json_put(object, key, good ? json_stringn(clean.bytes, clean.n) : NULL);
    text_free(&clean);
}

void json_put_string(json_t *object, const char *key, const char *text)
{
    json_put_text(object, key, text, strlen(text));
}

void json_put_parsed(json_t *object, const char *key, char *text)
{
    lacks_something = lacks_something || !text;
    json_put(object, key, text ? json_loads(text, 0, NULL) : NULL);
    free(text);
}

/* One character of JSON text; returns its bytes. DEL and the controls U+0080 to U+009F, which JSON allows and a
 * terminal obeys, are written as escapes. */
static size_t print_json_char(const char *c, FILE *to)
{
    const unsigned char first = (unsigned char)c[0], second = first ? (unsigned char)c[1] : 0;
    const bool two = first == 0xc2 && second >= 0x80 && second < 0xa0;
    if (two || first == 0x7f)
        fprintf(to, "\\u%04x", two ? second : first);
    else
        fputc(first, to);
    return two ? 2 : 1;
}

/* Where the array at `text` ends, if nothing in it has parts of its own; else NULL. */
static const char *end_of_flat_array(const char *text)
{
    bool quoted = false;
    for (const char *c = text + 1; *c; c++) {
        if (*c == '\\' && quoted)
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && *c == ']')
            return c;
        else if (!quoted && (*c == '[' || *c == '{'))
            return NULL;
    }
    return NULL;
}

/* Jansson puts each element of an array on a line of its own. */
static void print_flat(const char *text, FILE *to)
{
    const char *end = NULL;
    bool quoted = false, escaped = false, first = false;
    for (const char *c = text; *c; c++) {
        if (!quoted && *c == '[' && !end) {
            end = end_of_flat_array(c);
            first = true;
        }
        if (c == end)
            end = NULL;
        if (end && !quoted && *c == '\n') {
            while (c[1] == ' ')
                c++;
            if (c + 1 != end && !first)
                fputc(' ', to);
            first = false;
            continue;
        }
        const size_t n = print_json_char(c, to);
        if (*c == '"' && !escaped)
            quoted = !quoted;
        escaped = *c == '\\' && !escaped;
        c += n - 1;
    }
}

static bool print_json(const json_t *object, bool flat, FILE *to)
{
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    if (!text || lacks_something) {
        free(text);
        return false;
    }
    if (flat)
        print_flat(text, to);
    else
        for (const char *c = text; *c; c += print_json_char(c, to))
            ;
    fputc('\n', to);
    free(text);
    return true;
}

bool json_print(const json_t *object, FILE *to)
{
    return print_json(object, false, to);
}

static int finish(struct console *console, json_t *object, bool flat)
{
    console_end_bar(console);
    const bool good = print_json(object, flat, stdout);
    json_decref(object);
    if (good)
        return 0;
    console_error(console, "no memory for the JSON result");
    return 1;
}

int json_finish(struct console *console, json_t *object)
{
    return finish(console, object, false);
}

int json_finish_flat(struct console *console, json_t *object)
{
    return finish(console, object, true);
}

bool text_append(struct text *text, const char *bytes, size_t n)
{
    if (text->capacity - text->n <= n) {
        const size_t capacity = text->n + n + 1 > 2 * text->capacity ? text->n + n + 1 : 2 * text->capacity;
        char *grown = realloc(text->bytes, capacity);
        if (!grown)
            return false;
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
    text->bytes[text->n] = 0;
    return true;
}

void text_free(struct text *text)
{
    free(text->bytes);
    memset(text, 0, sizeof *text);
}

enum pv_status text_read(struct console *console, const char *path, struct text *out)
{
    const bool is_stdin = !strcmp(path, "-");
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    enum pv_status status = PV_OK;
    char block[65536];
    size_t n;
    if (!file) {
        console_error(console, "cannot open '%s': %s", path, strerror(errno));
        return PV_ERR_IO;
    }
    if (!text_append(out, "", 0))
        status = PV_ERR_NOMEM;
    errno = 0;
    while (!status && !console_interrupted() && (n = fread(block, 1, sizeof block, file)) > 0)
        if (!text_append(out, block, n))
            status = PV_ERR_NOMEM;
    if (status)
        console_error(console, "no memory for the text of '%s'", path);
    else if (console_interrupted())
        status = PV_ERR_INTERRUPTED;
    else if (ferror(file)) {
        console_error(console, "cannot read '%s': %s", path, strerror(errno));
        status = PV_ERR_IO;
    }
    if (!is_stdin)
        fclose(file);
    if (status)
        text_free(out);
    return status;
}

enum pv_status output_open(struct console *console, const char *path, struct output_file *out)
{
    const int n = snprintf(out->path, sizeof out->path, "%s", path);
    const int m = snprintf(out->temporary, sizeof out->temporary, "%s.%ld.tmp", path, (long)getpid());
    out->file = NULL;
    if (n < 0 || m < 0 || (size_t)m >= sizeof out->temporary)
        errno = ENAMETOOLONG;
    else
        out->file = fopen(out->temporary, "wbx");
    if (out->file)
        return PV_OK;
    console_error(console, "cannot write '%s': %s", path, strerror(errno));
    return PV_ERR_IO;
}

enum pv_status output_close(struct console *console, struct output_file *out, bool good)
{
    errno = 0;
    bool written = good && fflush(out->file) == 0 && !ferror(out->file) && fsync(fileno(out->file)) == 0;
    int reason = errno;
    if (fclose(out->file) != 0 && written) {
        reason = errno;
        written = false;
    }
    out->file = NULL;
    if (written && rename(out->temporary, out->path) == 0)
        return PV_OK;
    if (written)
        reason = errno;
    unlink(out->temporary);
    if (good)
        console_error(console, "cannot write '%s': %s", out->path, strerror(reason));
    return PV_ERR_IO;
}

static bool is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

bool find_bundled(const char *name, char *path, size_t size)
{
    static const char *const from_program[] = {"../models", "models", "../share/parvin/models"};
    const char *folder = getenv("PARVIN_MODELS");
    char program[4096];
    if (folder) {
        int n = snprintf(path, size, "%s/%s", folder, name);
        return n > 0 && (size_t)n < size && is_readable(path);
    }
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = 0;
        *strrchr(program, '/') = 0;
        for (size_t i = 0; i < sizeof from_program / sizeof from_program[0]; i++) {
            int n = snprintf(path, size, "%s/%s/%s", program, from_program[i], name);
            char *resolved = n > 0 && (size_t)n < size ? realpath(path, NULL) : NULL;
            const bool found = resolved && is_readable(resolved) && strlen(resolved) < size;
            if (found)
                memcpy(path, resolved, strlen(resolved) + 1);
            free(resolved);
            if (found)
                return true;
        }
    }
    const int n = snprintf(path, size, "%s/%s", PV_INSTALLED_MODELS, name);
    return n > 0 && (size_t)n < size && is_readable(path);
}

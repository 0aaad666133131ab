/* What a thinking model writes between <think> and </think>: shown, hidden or dimmed, and kept out of the conversation. */
#ifndef CHAT_THOUGHTS_H
#define CHAT_THOUGHTS_H

#include <stdbool.h>
#include <stddef.h>

enum thoughts_mode { THOUGHTS_SHOW, THOUGHTS_HIDE, THOUGHTS_DIM };

/* An answer on its way to stdout. Zero but for `mode` and `within` at its beginning. */
struct thoughts {
    enum thoughts_mode mode;
    bool within;  /* of thoughts; true at once where the template has opened them */
    bool begun;   /* something but white space has come */
    bool skip;    /* white space that comes next; set behind thoughts that were hidden */
    char held[8]; /* what may be the beginning of a mark */
    size_t n_held;
};

/* Prints more of the answer; `user` is a struct thoughts. */
void thoughts_print(void *user, const char *bytes, size_t n);
/* Prints what was held back, and ends dimming. */
void thoughts_end(struct thoughts *thoughts);
/* The answer alone: where `text` goes on behind its thoughts. `within`: it begins in them. All of it, if it has none. */
const char *thoughts_skip(const char *text, bool within);

#endif

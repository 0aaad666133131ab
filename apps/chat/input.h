/* What the user types: lines edited by libedit, with history, where stdin and stdout are a terminal; else plain lines.
 *
 * A message is a line. It goes on with the next line where its own ends in a backslash, and from """ to """. What is
 * pasted is one part of a message, whatever is in it. */
#ifndef CHAT_INPUT_H
#define CHAT_INPUT_H

#include "cli/console.h"
#include "cli/output.h"

struct chat_input;

enum input_result {
    INPUT_MESSAGE,
    INPUT_INTERRUPTED, /* Ctrl-C: what was typed is dropped */
    INPUT_END,         /* Ctrl-D, or the end of the file */
    INPUT_FAILED,      /* a message is logged */
};

/* `history`: lines are kept in the user's state folder. */
PV_MUST_USE enum pv_status input_open(struct console *console, bool history, struct chat_input **out);
void input_close(struct chat_input *input);
bool input_is_terminal(const struct chat_input *input);
/* The next message, in `text`, which is emptied first. */
enum input_result input_next(struct chat_input *input, struct text *text);

#endif

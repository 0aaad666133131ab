/* An automaton over bytes with a stack of what is open. A number has no end of its own: the byte behind it ends it and is then
 * looked at once more. */
#include "serve/json_mode.h"

#include <string.h>

enum state {
    START,
    KEY_OR_END,
    KEY,
    COLON,
    VALUE,
    VALUE_OR_END,
    AFTER, /* a value */
    STRING,
    ESCAPE,
    HEX,
    LITERAL,
    MINUS,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    CLOSED
};

static const char *const literals[] = {"true", "false", "null"};

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool go(struct serve_json *j, enum state state)
{
    j->state = (uint8_t)state;
    return true;
}

static bool open(struct serve_json *j, bool array)
{
    if (j->n_open == SERVE_JSON_DEPTH)
        return false;
    j->is_array[j->n_open++] = array;
    return go(j, array ? VALUE_OR_END : KEY_OR_END);
}

static bool close(struct serve_json *j, bool array)
{
    if (j->is_array[j->n_open - 1] != array)
        return false;
    j->n_open--;
    return go(j, j->n_open ? AFTER : CLOSED);
}

static bool open_string(struct serve_json *j, bool is_key)
{
    j->is_key = is_key;
    j->n_tail = 0;
    return go(j, STRING);
}

static bool begin_value(struct serve_json *j, unsigned char c)
{
    for (uint8_t i = 0; i < 3; i++)
        if (c == (unsigned char)literals[i][0]) {
            j->literal = i;
            j->at = 1;
            return go(j, LITERAL);
        }
    if (c == '"')
        return open_string(j, false);
    if (c == '{' || c == '[')
        return open(j, c == '[');
    if (c == '-')
        return go(j, MINUS);
    return is_digit(c) && go(j, c == '0' ? ZERO : INTEGER);
}

static bool after_value(struct serve_json *j, unsigned char c)
{
    if (c == ',')
        return go(j, j->is_array[j->n_open - 1] ? VALUE : KEY);
    return (c == '}' || c == ']') && close(j, c == ']');
}

/* A character's first byte says how many follow; whether they make a character is left to the text's reader. */
static bool in_string(struct serve_json *j, unsigned char c)
{
    if (j->n_tail > 0 || (c & 0xc0) == 0x80)
        return j->n_tail > 0 && (c & 0xc0) == 0x80 && (j->n_tail--, true);
    if (c == '"')
        return go(j, j->is_key ? COLON : AFTER);
    if (c == '\\')
        return go(j, ESCAPE);
    j->n_tail = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    return c >= 0x20 && c != 0xc0 && c != 0xc1 && c < 0xf5;
}

/* Halves of surrogate pairs are left out: alone they are no character. */
static bool in_hex(struct serve_json *j, unsigned char c)
{
    const bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!hex || (j->n_hex == 3 && (j->before | 0x20) == 'd' && !(c >= '0' && c <= '7')))
        return false;
    j->before = c;
    return --j->n_hex > 0 || go(j, STRING);
}

static bool in_escape(struct serve_json *j, unsigned char c)
{
    if (c == 'u') {
        j->n_hex = 4;
        j->before = 0;
        return go(j, HEX);
    }
    return c && strchr("\"\\/bfnrt", c) && go(j, STRING);
}

static bool in_number(struct serve_json *j, unsigned char c)
{
    const enum state s = (enum state)j->state;
    if (is_digit(c)) {
        if (s == ZERO)
            return false;
        if (s == MINUS)
            return go(j, c == '0' ? ZERO : INTEGER);
        return go(j, s == POINT ? FRACTION : s == EXPONENT || s == EXPONENT_SIGN ? EXPONENT_DIGITS : s);
    }
    if (c == '.' && (s == ZERO || s == INTEGER))
        return go(j, POINT);
    if ((c == 'e' || c == 'E') && (s == ZERO || s == INTEGER || s == FRACTION))
        return go(j, EXPONENT);
    if ((c == '+' || c == '-') && s == EXPONENT)
        return go(j, EXPONENT_SIGN);
    const bool whole = s == ZERO || s == INTEGER || s == FRACTION || s == EXPONENT_DIGITS;
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    return whole && (space ? go(j, AFTER) : after_value(j, c));
}

static bool in_literal(struct serve_json *j, unsigned char c)
{
    const char *word = literals[j->literal];
    if (c != (unsigned char)word[j->at])
        return false;
    return word[++j->at] || go(j, AFTER);
}

static bool feed(struct serve_json *j, unsigned char c)
{
    const bool between = j->state <= AFTER && (c == ' ' || c == '\n' || c == '\t' || c == '\r');
    if (between)
        return ++j->n_spaces <= SERVE_JSON_SPACES;
    j->n_spaces = 0;
    switch ((enum state)j->state) {
    case START:
        return c == '{' && open(j, false);
    case KEY_OR_END:
        return c == '}' ? close(j, false) : c == '"' && open_string(j, true);
    case KEY:
        return c == '"' && open_string(j, true);
    case COLON:
        return c == ':' && go(j, VALUE);
    case VALUE:
        return begin_value(j, c);
    case VALUE_OR_END:
        return c == ']' ? close(j, true) : begin_value(j, c);
    case AFTER:
        return after_value(j, c);
    case STRING:
        return in_string(j, c);
    case ESCAPE:
        return in_escape(j, c);
    case HEX:
        return in_hex(j, c);
    case LITERAL:
        return in_literal(j, c);
    case MINUS:
    case ZERO:
    case INTEGER:
    case POINT:
    case FRACTION:
    case EXPONENT:
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS:
        return in_number(j, c);
    case CLOSED:
        break;
    }
    return false;
}

bool serve_json_feed(struct serve_json *json, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!feed(json, (unsigned char)bytes[i]))
            return false;
    return true;
}

bool serve_json_closed(const struct serve_json *json)
{
    return json->state == CLOSED;
}

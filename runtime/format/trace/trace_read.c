/* The trace reader: one line at a time into a buffer whose limit follows from the header, parsed by jansson,
 * checked value by value, so that what comes out can index arrays. Every message names file and line. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "format/trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"

#define MAX_LAYERS 1024u
#define MAX_CELLS  (1u << 22) /* layers x clusters: what a viewer keeps in memory */
#define MAX_FFN    (1u << 20)

struct pv_trace_reader {
    struct pv_trace_header header;
    struct pv_trace_token token;
    struct pv_log log;
    char *name, *model, *device;
    int fd; /* -1: memory */
    bool follow, ended, any;
    char *buffer; /* file: bytes [pos, used) are unread */
    const char *memory;
    size_t pos, used, room, max_line;
    uint64_t line; /* number of the line last taken, from 1 */
    uint32_t *cluster, *n_neurons, *n_active, *n_hit;
    float *margin, *energy_kept;
    uint32_t *bits;        /* [L][ceil(F/32)], made when first needed */
    const uint32_t **rows; /* [L] */
    char text[PV_TRACE_MAX_TEXT + 1];
};

const char *pv_trace_header_fault(const struct pv_trace_header *h)
{
    if (h->n_layers < 1 || h->n_layers > MAX_LAYERS)
        return "n_layers is not between 1 and 1024";
    if (h->n_clusters > MAX_CELLS / h->n_layers)
        return "n_layers x n_clusters is over 4194304";
    if (h->d_ffn < 1 || h->d_ffn > MAX_FFN)
        return "d_ffn is not between 1 and 1048576";
    return NULL;
}

static PV_PRINTF(2, 3) enum pv_status fault(struct pv_trace_reader *r, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    r->ended = true;
    return pv_fail(&r->log, PV_ERR_FORMAT, "%s:%" PRIu64 ": %s", r->name, r->line, what);
}

/* Reads more into the buffer; *got = 0 at the end of the file. */
static enum pv_status fill(struct pv_trace_reader *r, size_t *got)
{
    ssize_t n;

    *got = 0;
    if (r->fd < 0)
        return PV_OK;
    if (r->pos > 0) {
        memmove(r->buffer, r->buffer + r->pos, r->used - r->pos);
        r->used -= r->pos;
        r->pos = 0;
    }
    if (r->used == r->room) {
        const size_t room = r->room == 0 ? 65536 : r->room * 2;
        void *buffer = r->buffer;

        if (!pv_grow(&buffer, room, 1))
            return pv_fail(&r->log, PV_ERR_NOMEM, "%s: no memory for line %" PRIu64, r->name, r->line + 1);
        r->buffer = buffer;
        r->room = room;
    }
    do
        n = read(r->fd, r->buffer + r->used, r->room - r->used);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        char reason[128] = "unknown error";

        (void)!strerror_r(errno, reason, sizeof reason);
        return pv_fail(&r->log, PV_ERR_IO, "%s: cannot read: %s", r->name, reason);
    }
    r->used += (size_t)n;
    *got = (size_t)n;
    return PV_OK;
}

/* The next line without its newline; *line NULL at the end. */
static enum pv_status next_line(struct pv_trace_reader *r, const char **line, size_t *length)
{
    size_t searched = 0;

    *line = NULL;
    *length = 0;
    for (;;) {
        const char *data = r->fd < 0 ? r->memory : r->buffer;
        size_t n = r->used - r->pos, got;
        const char *end = n > searched ? memchr(data + r->pos + searched, '\n', n - searched) : NULL;

        if ((end ? (size_t)(end - data) - r->pos : n) > r->max_line) {
            r->line++;
            return fault(r, "the line is over %zu bytes: this is not a Parvin trace", r->max_line);
        }
        if (end) {
            *line = data + r->pos;
            *length = (size_t)(end - *line);
            r->pos += *length + 1;
            r->line++;
            return PV_OK;
        }
        searched = n;
        PV_TRY(fill(r, &got));
        if (got == 0) {
            if (n > 0 && !r->follow) {
                r->line++;
                return fault(r, "the line is cut off (no newline at its end): the file was truncated");
            }
            return PV_OK;
        }
    }
}

static enum pv_status parse(struct pv_trace_reader *r, const char *line, size_t length, json_t **out)
{
    json_error_t error;

    *out = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (!*out)
        return fault(r, "no valid JSON at byte %d: %s", error.position, error.text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return fault(r, "the line is not a JSON object");
    }
    return PV_OK;
}

static enum pv_status get_u64(struct pv_trace_reader *r, const json_t *object, const char *key, uint64_t max,
                              uint64_t *out)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return fault(r, "\"%s\" is missing", key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
        return fault(r, "\"%s\" is not a whole number from 0 to %" PRIu64, key, max);
    *out = (uint64_t)json_integer_value(value);
    return PV_OK;
}

/* Missing and null are 0. */
static enum pv_status get_real(struct pv_trace_reader *r, const json_t *object, const char *key, double max,
                               double *out)
{
    const json_t *value = json_object_get(object, key);
    double number;

    *out = 0.0;
    if (!value || json_is_null(value))
        return PV_OK;
    number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0.0) || number > max)
        return fault(r, "\"%s\" is not a number from 0 to %g", key, max);
    *out = number;
    return PV_OK;
}

static enum pv_status get_array(struct pv_trace_reader *r, const json_t *object, const char *key,
                                bool required, const json_t **out)
{
    const json_t *array = json_object_get(object, key);

    *out = NULL;
    if (!array || json_is_null(array))
        return required ? fault(r, "\"%s\" is missing", key) : PV_OK;
    if (!json_is_array(array) || json_array_size(array) != r->header.n_layers)
        return fault(r, "\"%s\" is not an array of %" PRIu32 " entries, one per layer", key,
                     r->header.n_layers);
    *out = array;
    return PV_OK;
}

/* `limit`: values are at most this; null is allowed for clusters. */
static enum pv_status get_u32s(struct pv_trace_reader *r, const json_t *object, const char *key,
                               bool required, uint32_t limit, uint32_t *values, const uint32_t **out)
{
    const bool cluster = strcmp(key, "cluster") == 0;
    const json_t *array;

    *out = NULL;
    PV_TRY(get_array(r, object, key, required, &array));
    if (!array)
        return PV_OK;
    for (uint32_t i = 0; i < r->header.n_layers; i++) {
        const json_t *value = json_array_get(array, i);

        if (cluster && json_is_null(value)) {
            values[i] = PV_TRACE_NO_CLUSTER;
            continue;
        }
        if (cluster && r->header.n_clusters == 0)
            return fault(r, "\"cluster\" names a cluster, but the header has none (n_clusters is 0)");
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > limit)
            return fault(r, "\"%s\" of layer %" PRIu32 " is not a whole number from 0 to %" PRIu32, key, i,
                         limit);
        values[i] = (uint32_t)json_integer_value(value);
    }
    *out = values;
    return PV_OK;
}

static enum pv_status get_floats(struct pv_trace_reader *r, const json_t *object, const char *key, double min,
                                 double max, float *values, const float **out)
{
    const json_t *array;

    *out = NULL;
    PV_TRY(get_array(r, object, key, false, &array));
    if (!array)
        return PV_OK;
    for (uint32_t i = 0; i < r->header.n_layers; i++) {
        const json_t *value = json_array_get(array, i);
        const double number = json_number_value(value);

        if (json_is_null(value)) {
            values[i] = NAN;
            continue;
        }
        if (!json_is_number(value) || !(number >= min && number <= max))
            return fault(r, "\"%s\" of layer %" PRIu32 " is not a number from %g to %g", key, i, min, max);
        values[i] = (float)number;
    }
    *out = values;
    return PV_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum pv_status get_row(struct pv_trace_reader *r, const json_t *value, uint32_t layer, uint32_t *row)
{
    const uint32_t n_bytes = (r->header.d_ffn + 7) / 8;
    const char *hex = json_string_value(value);

    if (!hex || json_string_length(value) != (size_t)n_bytes * 2)
        return fault(r, "\"active\" of layer %" PRIu32 " is not a string of %" PRIu32 " hexadecimal digits",
                     layer, n_bytes * 2);
    memset(row, 0, pv_bit_words(r->header.d_ffn) * sizeof *row);
    for (uint32_t b = 0; b < n_bytes; b++) {
        const int high = hex_digit(hex[2 * b]), low = hex_digit(hex[2 * b + 1]);

        if (high < 0 || low < 0)
            return fault(r, "\"active\" of layer %" PRIu32 " has a character that is not a hexadecimal digit",
                         layer);
        row[b / 4] |= (uint32_t)(high * 16 + low) << (b % 4 * 8);
    }
    if (r->header.d_ffn % 32 != 0 && row[r->header.d_ffn / 32] >> (r->header.d_ffn % 32) != 0)
        return fault(r, "\"active\" of layer %" PRIu32 " sets a neuron past the last", layer);
    return PV_OK;
}

static enum pv_status get_active(struct pv_trace_reader *r, const json_t *object)
{
    const size_t words = pv_bit_words(r->header.d_ffn);
    const json_t *array;

    r->token.active = NULL;
    PV_TRY(get_array(r, object, "active", false, &array));
    if (!array)
        return PV_OK;
    if (!r->bits) {
        r->bits = pv_calloc(r->header.n_layers * words, sizeof *r->bits);
        r->rows = pv_calloc(r->header.n_layers, sizeof *r->rows);
        if (!r->bits || !r->rows)
            return pv_fail(&r->log, PV_ERR_NOMEM, "%s: no memory for the active neurons", r->name);
    }
    for (uint32_t i = 0; i < r->header.n_layers; i++) {
        const json_t *value = json_array_get(array, i);

        r->rows[i] = json_is_null(value) ? NULL : r->bits + i * words;
        if (r->rows[i])
            PV_TRY(get_row(r, value, i, r->bits + i * words));
    }
    r->token.active = r->rows;
    return PV_OK;
}

static enum pv_status get_text(struct pv_trace_reader *r, const json_t *object)
{
    const json_t *text = json_object_get(object, "text"), *bytes = json_object_get(object, "bytes");
    const json_t *value = bytes ? bytes : text;
    size_t n = json_string_length(value);
    const char *s = json_string_value(value);

    if (text && !json_is_string(text))
        return fault(r, "\"text\" is not a string");
    if (bytes && (!s || n % 2 != 0))
        return fault(r, "\"bytes\" is not a string of pairs of hexadecimal digits");
    if ((bytes ? n / 2 : n) > PV_TRACE_MAX_TEXT)
        return fault(r, "the token's text is over %u bytes", PV_TRACE_MAX_TEXT);
    if (bytes) {
        n /= 2;
        for (size_t i = 0; i < n; i++) {
            const int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);

            if (high < 0 || low < 0)
                return fault(r, "\"bytes\" has a character that is not a hexadecimal digit");
            r->text[i] = (char)(unsigned char)(high * 16 + low);
        }
    } else if (n > 0) {
        memcpy(r->text, s, n);
    }
    r->text[n] = '\0';
    r->token.text = r->text;
    r->token.text_bytes = n;
    return PV_OK;
}

static enum pv_status check_counts(struct pv_trace_reader *r)
{
    const struct pv_trace_token *t = &r->token;

    if (!t->n_hit)
        return PV_OK;
    for (uint32_t i = 0; i < r->header.n_layers; i++) {
        if (t->n_hit[i] > t->n_neurons[i] || (t->n_active && t->n_hit[i] > t->n_active[i]))
            return fault(r, "\"n_hit\" of layer %" PRIu32 " is larger than \"n_neurons\" or \"n_active\"", i);
    }
    return PV_OK;
}

static enum pv_status read_token(struct pv_trace_reader *r, const json_t *object)
{
    struct pv_trace_token *t = &r->token;
    uint64_t index = 0, id = 0;
    const uint32_t last = r->header.n_clusters > 0 ? r->header.n_clusters - 1 : 0, d_ffn = r->header.d_ffn;

    PV_TRY(get_u64(r, object, "i", INT64_MAX, &index));
    if (r->any && index <= t->index)
        return fault(r, "\"i\" is %" PRIu64 ", not larger than the line's before (%" PRIu64 ")", index,
                     t->index);
    t->index = index;
    r->any = true;
    PV_TRY(get_u64(r, object, "token", UINT32_MAX, &id));
    t->token = (uint32_t)id;
    PV_TRY(get_text(r, object));
    PV_TRY(get_real(r, object, "ms", 1e12, &t->ms));
    PV_TRY(get_real(r, object, "device_ms", 1e12, &t->device_ms));
    PV_TRY(get_real(r, object, "density", 1.0, &t->density));
    PV_TRY(get_u32s(r, object, "cluster", true, last, r->cluster, &t->cluster));
    PV_TRY(get_u32s(r, object, "n_neurons", true, d_ffn, r->n_neurons, &t->n_neurons));
    PV_TRY(get_u32s(r, object, "n_active", false, d_ffn, r->n_active, &t->n_active));
    PV_TRY(get_u32s(r, object, "n_hit", false, d_ffn, r->n_hit, &t->n_hit));
    PV_TRY(get_floats(r, object, "margin", -1e30, 1e30, r->margin, &t->margin));
    PV_TRY(get_floats(r, object, "energy_kept", 0.0, 1.0001, r->energy_kept, &t->energy_kept));
    PV_TRY(get_active(r, object));
    return check_counts(r);
}

static enum pv_status get_header_string(struct pv_trace_reader *r, const json_t *object, const char *key,
                                        char **out)
{
    const json_t *value = json_object_get(object, key);

    if (value && (!json_is_string(value) || json_string_length(value) > PV_TRACE_MAX_TEXT))
        return fault(r, "\"%s\" is not a string of up to %u bytes", key, PV_TRACE_MAX_TEXT);
    *out = pv_strndup(value != NULL ? json_string_value(value) : "", json_string_length(value));
    return *out ? PV_OK : pv_fail(&r->log, PV_ERR_NOMEM, "%s: no memory for the header", r->name);
}

static enum pv_status read_header(struct pv_trace_reader *r, const json_t *object)
{
    const char *format = json_string_value(json_object_get(object, "format"));
    const char *hex = json_string_value(json_object_get(object, "fingerprint")), *why;
    uint64_t version = 0, n_layers = 0, n_clusters = 0, d_ffn = 0;

    if (!format || strcmp(format, PV_TRACE_NAME) != 0)
        return fault(r, "not a Parvin trace: the first line must have \"format\": \"" PV_TRACE_NAME "\"");
    PV_TRY(get_u64(r, object, "version", INT32_MAX, &version));
    if (version != PV_TRACE_VERSION)
        return fault(r, "the trace has version %" PRIu64 ", this program reads version %d", version,
                     PV_TRACE_VERSION);
    PV_TRY(get_u64(r, object, "n_layers", UINT32_MAX, &n_layers));
    PV_TRY(get_u64(r, object, "n_clusters", UINT32_MAX, &n_clusters));
    PV_TRY(get_u64(r, object, "d_ffn", UINT32_MAX, &d_ffn));
    r->header.n_layers = (uint32_t)n_layers;
    r->header.n_clusters = (uint32_t)n_clusters;
    r->header.d_ffn = (uint32_t)d_ffn;
    why = pv_trace_header_fault(&r->header);
    if (why)
        return fault(r, "%s", why);
    for (int i = 0; hex && hex[i] != '\0'; i++) {
        if (i >= 16 || hex_digit(hex[i]) < 0)
            return fault(r, "\"fingerprint\" is not 16 hexadecimal digits");
        r->header.fingerprint = r->header.fingerprint << 4 | (uint64_t)hex_digit(hex[i]);
    }
    PV_TRY(get_header_string(r, object, "model", &r->model));
    PV_TRY(get_header_string(r, object, "device", &r->device));
    r->header.model = r->model;
    r->header.device = r->device;
    return PV_OK;
}

/* Longest line a token of this header can need, with ample room for fields of later versions. */
static size_t line_limit(const struct pv_trace_header *h)
{
    return 65536 + (size_t)h->n_layers * (256 + (size_t)h->d_ffn / 4);
}

static enum pv_status start(struct pv_trace_reader *r, const char *name, const struct pv_log *log)
{
    const char *line;
    size_t length;
    json_t *object;
    enum pv_status status;
    uint32_t n;

    if (log)
        r->log = *log;
    r->max_line = 65536;
    r->name = pv_strndup(name, strlen(name));
    if (!r->name)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory for the trace", name);
    PV_TRY(next_line(r, &line, &length));
    if (!line)
        return pv_fail(log, PV_ERR_FORMAT, "%s:1: the trace is empty", name);
    PV_TRY(parse(r, line, length, &object));
    status = read_header(r, object);
    json_decref(object);
    PV_TRY(status);
    r->max_line = line_limit(&r->header);
    n = r->header.n_layers;
    r->cluster = pv_calloc(n, sizeof(uint32_t));
    r->n_neurons = pv_calloc(n, sizeof(uint32_t));
    r->n_active = pv_calloc(n, sizeof(uint32_t));
    r->n_hit = pv_calloc(n, sizeof(uint32_t));
    r->margin = pv_calloc(n, sizeof(float));
    r->energy_kept = pv_calloc(n, sizeof(float));
    if (!r->cluster || !r->n_neurons || !r->n_active || !r->n_hit || !r->margin || !r->energy_kept)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory for the trace", name);
    return PV_OK;
}

static enum pv_status open_reader(int fd, const void *data, size_t size_bytes, bool follow, const char *name,
                                  const struct pv_log *log, struct pv_trace_reader **out)
{
    struct pv_trace_reader *r = pv_calloc(1, sizeof *r);
    enum pv_status status;

    if (!r) {
        if (fd > 0)
            close(fd);
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory for the trace", name);
    }
    r->fd = fd;
    r->memory = data;
    r->used = size_bytes;
    r->follow = follow;
    status = start(r, name, log);
    if (status != PV_OK) {
        pv_trace_close(r);
        return status;
    }
    *out = r;
    return PV_OK;
}

enum pv_status pv_trace_open(const char *path, bool follow, const struct pv_log *log,
                             struct pv_trace_reader **out)
{
    int fd = STDIN_FILENO;

    *out = NULL;
    if (strcmp(path, "-") != 0) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            char reason[128] = "unknown error";

            (void)!strerror_r(errno, reason, sizeof reason);
            return pv_fail(log, PV_ERR_IO, "%s: cannot open the trace: %s: check the path", path, reason);
        }
    }
    return open_reader(fd, NULL, 0, follow, path, log, out);
}

enum pv_status pv_trace_open_memory(const void *data, size_t size_bytes, const char *name,
                                    const struct pv_log *log, struct pv_trace_reader **out)
{
    *out = NULL;
    return open_reader(-1, data, size_bytes, false, name, log, out);
}

const struct pv_trace_header *pv_trace_reader_header(const struct pv_trace_reader *reader)
{
    return &reader->header;
}

enum pv_status pv_trace_next(struct pv_trace_reader *r, const struct pv_trace_token **out)
{
    const char *line;
    size_t length;
    json_t *object;
    enum pv_status status;

    *out = NULL;
    if (r->ended)
        return PV_ERR_FORMAT; /* said once */
    PV_TRY(next_line(r, &line, &length));
    if (!line)
        return PV_OK;
    PV_TRY(parse(r, line, length, &object));
    status = read_token(r, object);
    json_decref(object);
    if (status == PV_OK)
        *out = &r->token;
    else
        r->ended = true;
    return status;
}

void pv_trace_close(struct pv_trace_reader *r)
{
    if (!r)
        return;
    if (r->fd > STDIN_FILENO)
        close(r->fd);
    free(r->buffer);
    free(r->name);
    free(r->model);
    free(r->device);
    free(r->cluster);
    free(r->n_neurons);
    free(r->n_active);
    free(r->n_hit);
    free(r->margin);
    free(r->energy_kept);
    free(r->bits);
    free(r->rows);
    free(r);
}

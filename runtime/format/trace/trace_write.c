/* The trace writer: lines are built in one buffer by hand (no allocation once it has grown) and go out by one
 * write each. Numbers are printed so that they read back to the same float and do not depend on the locale.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "parvin/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/trace/trace.h"

struct pv_trace_writer {
    struct pv_trace_header header; /* strings not kept */
    enum pv_trace_format format;
    struct pv_log log;
    char *path;
    int fd;
    char *line;
    size_t used, room;
    bool no_memory, failed;
    uint64_t last_index;
    uint32_t n_tracks; /* of slices, named so far */
    bool any;
    double now_us; /* Perfetto: where the next token starts */
};

static void put(struct pv_trace_writer *w, const char *data, size_t n)
{
    if (w->room - w->used < n) {
        const size_t room = w->room * 2 + n + 1024;
        void *line = w->line;

        if (!pv_grow(&line, room, 1)) {
            w->no_memory = true;
            return;
        }
        w->line = line;
        w->room = room;
    }
    memcpy(w->line + w->used, data, n);
    w->used += n;
}

static void put_str(struct pv_trace_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_u64(struct pv_trace_writer *w, uint64_t value)
{
    char text[24];
    const int n = snprintf(text, sizeof text, "%" PRIu64, value);

    put(w, text, (size_t)n);
}

/* NaN and infinities have no JSON: null. */
static void put_real(struct pv_trace_writer *w, double value, int digits)
{
    char text[40];
    int n;

    if (!isfinite(value)) {
        put_str(w, "null");
        return;
    }
    n = snprintf(text, sizeof text, "%.*g", digits, value);
    for (int i = 0; i < n; i++) {
        if (text[i] == ',') /* a locale's decimal comma */
            text[i] = '.';
    }
    put(w, text, (size_t)n);
}

/* Bytes as the inside of a JSON string; bytes that are no UTF-8 show as \xNN. Returns false if there were any
 * (or a NUL), in which case the string does not say what the bytes were. */
static bool put_text(struct pv_trace_writer *w, const char *text, size_t n)
{
    bool exact = true;
    char escape[16];

    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t length = pv_utf8_char(text + i, n - i, NULL);

        if (length == 0 || c == 0) {
            exact = false;
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\\\x%02x", c));
            length = 1;
        } else if (c == '"' || c == '\\') {
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", c));
        } else if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) { /* a control, U+0080 to U+009F */
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)text[i + 1]));
        } else if (c < 0x20 || c == 0x7f) {
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else {
            put(w, text + i, length);
        }
        i += length;
    }
    return exact;
}

static void put_quoted(struct pv_trace_writer *w, const char *text)
{
    put_str(w, "\"");
    put_text(w, text ? text : "", text ? strlen(text) : 0);
    put_str(w, "\"");
}

/* ,"name":[ */
static void begin_list(struct pv_trace_writer *w, const char *name)
{
    put_str(w, ",\"");
    put_str(w, name);
    put_str(w, "\":[");
}

static void put_u32s(struct pv_trace_writer *w, const char *name, const uint32_t *values, bool cluster)
{
    if (!values)
        return;
    begin_list(w, name);
    for (uint32_t i = 0; i < w->header.n_layers; i++) {
        if (i > 0)
            put_str(w, ",");
        if (cluster && values[i] == PV_TRACE_NO_CLUSTER)
            put_str(w, "null");
        else
            put_u64(w, values[i]);
    }
    put_str(w, "]");
}

static void put_floats(struct pv_trace_writer *w, const char *name, const float *values)
{
    if (!values)
        return;
    begin_list(w, name);
    for (uint32_t i = 0; i < w->header.n_layers; i++) {
        if (i > 0)
            put_str(w, ",");
        put_real(w, (double)values[i], 6);
    }
    put_str(w, "]");
}

/* Byte i of a row in hexadecimal holds neurons 8i to 8i + 7, lowest bit first. */
static void put_active(struct pv_trace_writer *w, const uint32_t *const *rows)
{
    static const char digits[] = "0123456789abcdef";
    const uint32_t n_bytes = (w->header.d_ffn + 7) / 8;

    if (!rows)
        return;
    put_str(w, ",\"active\":[");
    for (uint32_t i = 0; i < w->header.n_layers; i++) {
        put_str(w, i > 0 ? "," : "");
        if (!rows[i]) {
            put_str(w, "null");
            continue;
        }
        put_str(w, "\"");
        for (uint32_t b = 0; b < n_bytes; b++) {
            const uint32_t byte = rows[i][b / 4] >> (b % 4 * 8) & 0xffu;
            char hex[2] = {digits[byte >> 4], digits[byte & 15u]};

            put(w, hex, 2);
        }
        put_str(w, "\"");
    }
    put_str(w, "]");
}

static enum pv_status flush(struct pv_trace_writer *w)
{
    size_t done = 0;

    if (w->no_memory) {
        w->failed = true;
        return pv_fail(&w->log, PV_ERR_NOMEM, "%s: no memory for a line of the trace", w->path);
    }
    while (done < w->used) {
        const ssize_t n = write(w->fd, w->line + done, w->used - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            const int error = n < 0 ? errno : ENOSPC;
            char reason[128] = "unknown error";

            (void)!strerror_r(error, reason, sizeof reason);
            w->failed = true;
            return pv_fail(&w->log, PV_ERR_IO, "%s: cannot write the trace: %s%s", w->path, reason,
                           error == ENOSPC ? ": free space or trace to another folder" : "");
        }
        done += (size_t)n;
    }
    w->used = 0;
    return PV_OK;
}

static void put_header(struct pv_trace_writer *w, const struct pv_trace_header *h)
{
    char fingerprint[20];

    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, h->fingerprint);
    if (w->format == PV_TRACE_PERFETTO) {
        put_str(w, "[{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":");
        put_quoted(w, h->model);
        put_str(w, "}},\n{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":"
                   "\"tokens\"}}");
        put_str(w, ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":2,\"name\":\"thread_name\",\"args\":{\"name\":");
        put_quoted(w, h->device && h->device[0] != '\0' ? h->device : "device");
        put_str(w, "}}");
        return;
    }
    put_str(w, "{\"format\":\"" PV_TRACE_NAME "\",\"version\":1,\"model\":");
    put_quoted(w, h->model);
    put_str(w, ",\"fingerprint\":\"");
    put_str(w, fingerprint);
    put_str(w, "\",\"n_layers\":");
    put_u64(w, h->n_layers);
    put_str(w, ",\"n_clusters\":");
    put_u64(w, h->n_clusters);
    put_str(w, ",\"d_ffn\":");
    put_u64(w, h->d_ffn);
    put_str(w, ",\"device\":");
    put_quoted(w, h->device);
    put_str(w, "}\n");
}

enum pv_status pv_trace_create(const char *path, enum pv_trace_format format,
                               const struct pv_trace_header *header, const struct pv_log *log,
                               struct pv_trace_writer **out)
{
    enum pv_status status;
    const char *why = pv_trace_header_fault(header);
    struct pv_trace_writer *w;

    *out = NULL;
    if (why)
        return pv_fail(log, PV_ERR_ARG, "%s: cannot trace this model: %s", path, why);
    w = pv_calloc(1, sizeof *w);
    if (!w || !(w->path = pv_strndup(path, strlen(path)))) {
        free(w);
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory for the trace", path);
    }
    w->header = *header;
    w->header.model = w->header.device = NULL;
    w->format = format;
    if (log)
        w->log = *log;
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        char reason[128] = "unknown error";

        (void)!strerror_r(errno, reason, sizeof reason);
        status = pv_fail(log, PV_ERR_IO, "%s: cannot create the trace: %s", path, reason);
        goto fail;
    }
    put_header(w, header);
    PV_TRY_GOTO(flush(w));
    *out = w;
    return PV_OK;
fail:
    if (w->fd >= 0)
        close(w->fd);
    free(w->line);
    free(w->path);
    free(w);
    return status;
}

static void put_jsonl(struct pv_trace_writer *w, const struct pv_trace_token *t)
{
    const size_t n = t->text ? t->text_bytes : 0;

    put_str(w, "{\"i\":");
    put_u64(w, t->index);
    put_str(w, ",\"token\":");
    put_u64(w, t->token);
    put_str(w, ",\"text\":\"");
    if (put_text(w, t->text, n)) {
        put_str(w, "\"");
    } else {
        char hex[4];

        put_str(w, "\",\"bytes\":\"");
        for (size_t i = 0; i < n; i++)
            put(w, hex, (size_t)snprintf(hex, sizeof hex, "%02x", (unsigned)(unsigned char)t->text[i]));
        put_str(w, "\"");
    }
    put_str(w, ",\"ms\":");
    put_real(w, t->ms, 6);
    put_str(w, ",\"device_ms\":");
    put_real(w, t->device_ms, 6);
    put_str(w, ",\"density\":");
    put_real(w, t->density, 6);
    put_u32s(w, "cluster", t->cluster, true);
    put_u32s(w, "n_neurons", t->n_neurons, false);
    put_floats(w, "margin", t->margin);
    put_floats(w, "energy_kept", t->energy_kept);
    put_u32s(w, "n_active", t->n_active, false);
    put_u32s(w, "n_hit", t->n_hit, false);
    put_active(w, t->active);
    put_str(w, "}\n");
}

static void put_slice(struct pv_trace_writer *w, uint32_t tid, double ts, double duration)
{
    put_str(w, "\"ph\":\"X\",\"pid\":1,\"tid\":");
    put_u64(w, tid);
    put_str(w, ",\"ts\":");
    put_real(w, ts, 15);
    put_str(w, ",\"dur\":");
    put_real(w, duration, 9);
}

static void put_perfetto(struct pv_trace_writer *w, const struct pv_trace_token *t)
{
    const double duration = t->ms > 0.0 ? t->ms * 1e3 : t->device_ms > 0.0 ? t->device_ms * 1e3 : 1.0;

    put_str(w, ",\n{\"name\":\"");
    put_text(w, t->text, t->text ? t->text_bytes : 0);
    put_str(w, "\",");
    put_slice(w, 1, w->now_us, duration);
    put_str(w, ",\"args\":{\"i\":");
    put_u64(w, t->index);
    put_str(w, ",\"token\":");
    put_u64(w, t->token);
    put_str(w, ",\"density\":");
    put_real(w, t->density, 6);
    put_u32s(w, "cluster", t->cluster, true);
    put_u32s(w, "n_neurons", t->n_neurons, false);
    put_floats(w, "margin", t->margin);
    put_str(w, "}}");
    if (t->device_ms > 0.0) {
        put_str(w, ",\n{\"name\":\"device\",");
        put_slice(w, 2, w->now_us, t->device_ms * 1e3 < duration ? t->device_ms * 1e3 : duration);
        put_str(w, "}");
    }
    put_str(w, ",\n{\"name\":\"density\",\"ph\":\"C\",\"pid\":1,\"tid\":0,\"ts\":");
    put_real(w, w->now_us, 15);
    put_str(w, ",\"args\":{\"density\":");
    put_real(w, t->density, 6);
    put_str(w, "}}");
    w->now_us += duration;
}

enum pv_status pv_trace_write(struct pv_trace_writer *w, const struct pv_trace_token *token)
{
    if (w->failed)
        return PV_ERR_IO; /* said once */
    if (!token->cluster || !token->n_neurons || token->text_bytes > PV_TRACE_MAX_TEXT ||
        (w->any && token->index <= w->last_index))
        return pv_fail(&w->log, PV_ERR_ARG,
                       "%s: token %" PRIu64 " cannot be traced: arrays missing or out of order", w->path,
                       token->index);
    w->any = true;
    w->last_index = token->index;
    if (w->format == PV_TRACE_PERFETTO)
        put_perfetto(w, token);
    else
        put_jsonl(w, token);
    return flush(w);
}

enum pv_status pv_trace_slice(struct pv_trace_writer *w, uint32_t track, const char *name, double start_us,
                              double duration_us)
{
    if (w->failed || w->format != PV_TRACE_PERFETTO)
        return PV_OK;
    if (track >= w->n_tracks) { /* the first of its track */
        put_str(w, ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":");
        put_u64(w, 3 + track);
        put_str(w, ",\"name\":\"thread_name\",\"args\":{\"name\":\"dispatches, device ");
        put_u64(w, track);
        put_str(w, "\"}}");
        w->n_tracks = track + 1;
    }
    put_str(w, ",\n{\"name\":");
    put_quoted(w, name);
    put_str(w, ",");
    put_slice(w, 3 + track, w->now_us + start_us, duration_us);
    put_str(w, "}"); /* goes out with its token */
    return PV_OK;
}

enum pv_status pv_trace_finish(struct pv_trace_writer *w)
{
    enum pv_status status = PV_OK;

    if (!w)
        return PV_OK;
    if (w->format == PV_TRACE_PERFETTO && !w->failed) {
        put_str(w, "]\n");
        status = flush(w);
    }
    if (close(w->fd) != 0 && status == PV_OK)
        status = pv_fail(&w->log, PV_ERR_IO, "%s: cannot finish the trace: is the disk full?", w->path);
    free(w->line);
    free(w->path);
    free(w);
    return status;
}

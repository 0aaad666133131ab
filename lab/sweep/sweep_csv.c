/* One list of columns serves writing and reading. What is read stays where it is: the table keeps the file's bytes,
 * cut up in place. */
#include "lab/sweep/sweep_csv.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_LAYERS = 4096 };
enum column_type { NUMBER, U32, U64, BOOL };
enum column_of { INFO, ROW, RUN, OWN }; /* all rows alike; each; those that were run (or not); may be empty */
struct column {
    const char *name;
    enum column_type type;
    enum column_of of;
    size_t offset; /* in struct pv_sweep_info, else in struct pv_sweep_row */
    double least, most;
};

#define OF_INFO(type, field, least, most)                                                                    \
    {                                                                                                        \
#field, type, INFO, offsetof(struct pv_sweep_info, field), least, most                               \
    }
#define OF_ROW(type, of, field, least, most)                                                                 \
    {                                                                                                        \
#field, type, of, offsetof(struct pv_sweep_row, field), least, most                                  \
    }
static const struct column columns[] = {
    OF_ROW(BOOL, ROW, clustered, 0, 1),
    OF_ROW(BOOL, ROW, knows_truth, 0, 1),
    OF_ROW(U32, ROW, n_clusters, 0, 65536),
    OF_ROW(U32, ROW, rank, 0, 1e6),
    OF_ROW(NUMBER, ROW, density_target, 0, 1),
    OF_ROW(U32, ROW, own_masks, 0, PV_SWEEP_OWN_COUNT - 1),
    OF_ROW(NUMBER, RUN, ppl, 1, 1e100),
    OF_ROW(NUMBER, RUN, rise, -1, 1e100),
    OF_ROW(NUMBER, RUN, density, 0, 1),
    OF_ROW(NUMBER, RUN, predictor_bytes, 0, 1e15),
    OF_ROW(NUMBER, RUN, bytes, 0, 1e15),
    OF_ROW(NUMBER, RUN, precision, 0, 1),
    OF_ROW(NUMBER, RUN, recall, 0, 1),
    OF_ROW(NUMBER, RUN, weighted_recall, 0, 1),
    OF_ROW(NUMBER, OWN, router_accuracy, 0, 1),
    OF_ROW(NUMBER, OWN, own_density, 0, 1),
    OF_ROW(NUMBER, OWN, own_precision, 0, 1),
    OF_ROW(NUMBER, OWN, own_recall, 0, 1),
    OF_ROW(NUMBER, OWN, own_weighted_recall, 0, 1),
    OF_ROW(NUMBER, ROW, seconds, 0, 1e9),
    OF_INFO(NUMBER, ppl_dense, 1, 1e100),
    OF_INFO(NUMBER, dense_bytes, 1, 1e15),
    OF_INFO(NUMBER, active, 0, 1),
    OF_INFO(U64, n_fit_tokens, 1, 1e15),
    OF_INFO(U64, n_test_tokens, 1, 1e15),
    OF_INFO(U32, n_ctx, 1, 1e9),
    OF_INFO(U32, n_layers, 1, MAX_LAYERS),
    OF_INFO(U32, d_model, 1, 1e6),
    OF_INFO(U32, d_ffn, 1, 1e7),
};
#undef OF_INFO
#undef OF_ROW
enum { N_TEXTS = 4, N_COLUMNS = sizeof columns / sizeof columns[0], N_PARTS = 2 };
static const char *const texts[N_TEXTS] = {"model", "device", "method", "label"};
/* Then a column a layer of each. */
static const char *const parts[N_PARTS] = {"energy_kept", "density"};

void sweep_write_head(FILE *file, uint32_t n_layers)
{
    for (int i = 0; i < N_TEXTS; i++)
        fprintf(file, "%s%s", i > 0 ? "," : "", texts[i]);
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(file, ",%s", columns[i].name);
    for (int part = 0; part < N_PARTS; part++) {
        for (uint32_t l = 0; l < n_layers; l++)
            fprintf(file, ",%s_%u", parts[part], l);
    }
    fputc('\n', file);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static void write_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (const char *at = text; *at; at++) {
        if (*at != '"' && !is_control(*at))
            fputc(*at, file);
    }
    fputc('"', file);
}

static void write_number(FILE *file, double value)
{
    if (isfinite(value))
        fprintf(file, ",%.9g", value);
    else
        fputc(',', file);
}

static void write_field(FILE *file, const struct column *column, const void *base)
{
    const void *at = (const char *)base + column->offset;

    switch (column->type) {
    case NUMBER:
        write_number(file, *(const double *)at);
        break;
    case U32:
        fprintf(file, ",%u", *(const uint32_t *)at);
        break;
    case U64:
        fprintf(file, ",%llu", (unsigned long long)*(const uint64_t *)at);
        break;
    case BOOL:
        fprintf(file, ",%d", *(const bool *)at);
        break;
    }
}

void sweep_write_row(FILE *file, const char *model, const char *device, const struct pv_sweep_info *info,
                     const struct pv_sweep_row *row)
{
    const char *const values[N_TEXTS] = {model, device, row->method, row->label};
    const double *const layers[N_PARTS] = {row->layer_energy, row->layer_density};

    for (int i = 0; i < N_TEXTS; i++) {
        if (i > 0)
            fputc(',', file);
        write_text(file, values[i]);
    }
    for (int i = 0; i < N_COLUMNS; i++)
        write_field(file, &columns[i], columns[i].of == INFO ? (const void *)info : row);
    for (int part = 0; part < N_PARTS; part++) {
        for (uint32_t l = 0; l < info->n_layers; l++)
            write_number(file, layers[part] ? layers[part][l] : (double)NAN);
    }
    fputc('\n', file);
    fflush(file);
}

struct reader {
    const struct pv_log *log;
    const char *path;
    uint32_t line;
    char *next;                /* line; NULL: no more, and the last had no line break */
    char *at;                  /* next field of the line; NULL: no more */
    double shared[N_COLUMNS];  /* by column: what the first row says of all */
    struct sweep_table *table; /* n_rows so far */
    uint32_t capacity;         /* rows there is room for */
};

/* Ends the next line with a NUL; its first field is next. False at the end of the file. */
static bool next_line(struct reader *r)
{
    char *end;

    if (!r->next || !*r->next)
        return false;
    r->at = r->next;
    end = strchr(r->at, '\n');
    r->next = end ? end + 1 : NULL;
    if (end)
        *end = 0;
    r->line++;
    return true;
}

/* Ends the line's next field with a NUL and takes its quotes off. */
static enum pv_status next_field(struct reader *r, char **field)
{
    char *end;

    if (!r->at)
        return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: has fewer fields than there are columns", r->path,
                       r->line);
    if (*r->at == '"') {
        *field = r->at + 1;
        end = strchr(*field, '"');
        if (!end || (end[1] && end[1] != ','))
            return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: a quoted text does not end at a comma", r->path,
                           r->line);
        *end++ = 0;
    } else {
        *field = r->at;
        end = r->at + strcspn(r->at, ",");
    }
    r->at = *end ? end + 1 : NULL;
    *end = 0;
    return PV_OK;
}

static enum pv_status expect_end(const struct reader *r)
{
    return !r->at ? PV_OK
                  : pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: has more fields than there are columns", r->path,
                            r->line);
}

static enum pv_status read_text(struct reader *r, const char *name, const char **text)
{
    char *field = NULL;

    PV_TRY(next_field(r, &field));
    *text = field;
    while (*field && !is_control(*field))
        field++;
    return !*field ? PV_OK
                   : pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: %s holds a control character", r->path, r->line,
                             name);
}

/* NAN for an empty field, where the column allows it. */
static enum pv_status read_number(struct reader *r, const struct column *column, double *value)
{
    char *field = NULL, *end;

    PV_TRY(next_field(r, &field));
    *value = (double)NAN;
    if (!*field && (column->of == RUN || column->of == OWN))
        return PV_OK;
    if (*field && !field[strspn(field, "0123456789+-.eE")]) {
        *value = strtod(field, &end);
        if (!*end && *value >= column->least && *value <= column->most &&
            (column->type == NUMBER || floor(*value) == *value))
            return PV_OK;
    }
    return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: %s is '%.40s', which is no %snumber from %g to %g", r->path,
                   r->line, column->name, field, column->type == NUMBER ? "" : "whole ", column->least,
                   column->most);
}

static void store(const struct column *column, double value, void *base)
{
    void *at = (char *)base + column->offset;

    switch (column->type) {
    case NUMBER:
        *(double *)at = value;
        break;
    case U32:
        *(uint32_t *)at = (uint32_t)value;
        break;
    case U64:
        *(uint64_t *)at = (uint64_t)value;
        break;
    case BOOL:
        *(bool *)at = value > 0;
        break;
    }
}

static enum pv_status expect_name(struct reader *r, const char *name)
{
    char *field = NULL;

    PV_TRY(next_field(r, &field));
    return strcmp(field, name) == 0
               ? PV_OK
               : pv_fail(r->log, PV_ERR_FORMAT,
                         "%s:%u: is not the first line of a sweep's table: it has '%.40s' "
                         "where '%s' belongs",
                         r->path, r->line, field, name);
}

static enum pv_status read_head(struct reader *r, uint32_t *n_layers)
{
    uint32_t n = 0;
    char name[32];

    if (!next_line(r))
        return pv_fail(r->log, PV_ERR_FORMAT, "%s: is empty", r->path);
    for (const char *at = r->at; *at; at++)
        n += *at == ',';
    n = n < N_TEXTS + N_COLUMNS ? 0 : (n + 1 - N_TEXTS - N_COLUMNS) / N_PARTS;
    for (int i = 0; i < N_TEXTS; i++)
        PV_TRY(expect_name(r, texts[i]));
    for (int i = 0; i < N_COLUMNS; i++)
        PV_TRY(expect_name(r, columns[i].name));
    for (int part = 0; part < N_PARTS; part++) {
        for (uint32_t l = 0; l < n; l++) {
            snprintf(name, sizeof name, "%s_%u", parts[part], l);
            PV_TRY(expect_name(r, name));
        }
    }
    PV_TRY(expect_end(r));
    if (n < 1 || n > MAX_LAYERS)
        return pv_fail(r->log, PV_ERR_FORMAT, "%s:1: has columns for %u layers; there are from 1 to %d",
                       r->path, n, MAX_LAYERS);
    *n_layers = n;
    return PV_OK;
}

/* Room for one more row. Addresses within the arrays hold only once all rows are read. */
static enum pv_status reserve(struct reader *r, uint32_t n_layers)
{
    struct sweep_table *table = r->table;
    const uint32_t capacity = r->capacity > 0 ? 2 * r->capacity : 64;
    void *rows = table->rows, *layers = table->layers;
    bool good;

    if (table->n_rows < r->capacity)
        return PV_OK;
    good = pv_grow(&rows, capacity, sizeof *table->rows) &&
           pv_grow(&layers, (size_t)capacity * N_PARTS * n_layers, sizeof *table->layers);
    table->rows = rows;
    table->layers = layers;
    if (!good)
        return pv_fail(r->log, PV_ERR_NOMEM, "%s: no memory for its rows", r->path);
    r->capacity = capacity;
    return PV_OK;
}

static enum pv_status read_texts(struct reader *r, struct pv_sweep_row *row)
{
    struct sweep_table *table = r->table;
    const char *model, *device;

    PV_TRY(read_text(r, texts[0], &model));
    PV_TRY(read_text(r, texts[1], &device));
    PV_TRY(read_text(r, texts[2], &row->method));
    PV_TRY(read_text(r, texts[3], &row->label));
    if (table->n_rows == 0) {
        table->model = model;
        table->device = device;
    }
    return strcmp(model, table->model) == 0 && strcmp(device, table->device) == 0
               ? PV_OK
               : pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: is of another model or device than the first row",
                         r->path, r->line);
}

/* A row with a perplexity was run: it has all that a run gives. */
static enum pv_status expect_run(const struct reader *r, const struct pv_sweep_row *row,
                                 const struct column *column, double value)
{
    return column->of == RUN && isnan(value) && isfinite(row->ppl)
               ? pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: has a perplexity and no %s", r->path, r->line,
                         column->name)
               : PV_OK;
}

/* What was measured may differ in its last digits: a table may hold the rows of several runs. */
static bool agree(const struct column *column, double a, double b)
{
    return column->type == NUMBER ? fabs(a - b) <= 1e-6 * fabs(b) : a == b;
}

static enum pv_status read_columns(struct reader *r, uint32_t n_layers, struct pv_sweep_row *row)
{
    const bool first = r->table->n_rows == 0;

    for (int i = 0; i < N_COLUMNS; i++) {
        const struct column *column = &columns[i];
        double value;

        PV_TRY(read_number(r, column, &value));
        store(column, value, column->of == INFO ? (void *)&r->table->info : row);
        if (first)
            r->shared[i] = value;
        if (column->of == INFO && !agree(column, value, r->shared[i]))
            return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: %s is %.9g here and %.9g in the first row", r->path,
                           r->line, column->name, value, r->shared[i]);
        PV_TRY(expect_run(r, row, column, value));
    }
    if (r->table->info.n_layers != n_layers)
        return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: n_layers is %u; the first line has columns for %u",
                       r->path, r->line, r->table->info.n_layers, n_layers);
    if (row->clustered != (row->n_clusters > 0))
        return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: clustered is %d and n_clusters %u", r->path, r->line,
                       row->clustered, row->n_clusters);
    return PV_OK;
}

static enum pv_status read_row(struct reader *r, uint32_t n_layers)
{
    struct sweep_table *table = r->table;
    struct pv_sweep_row row = {0};
    char name[32];
    const struct column column = {.name = name, .type = NUMBER, .of = RUN, .most = 1};
    double *layers;

    if (!r->next)
        return pv_fail(r->log, PV_ERR_FORMAT, "%s:%u: is cut: it does not end in a line break", r->path,
                       r->line);
    PV_TRY(reserve(r, n_layers));
    layers = table->layers + (size_t)table->n_rows * N_PARTS * n_layers;
    PV_TRY(read_texts(r, &row));
    PV_TRY(read_columns(r, n_layers, &row));
    for (uint32_t i = 0; i < N_PARTS * n_layers; i++) {
        snprintf(name, sizeof name, "%s_%u", parts[i / n_layers], i % n_layers);
        PV_TRY(read_number(r, &column, &layers[i]));
        PV_TRY(expect_run(r, &row, &column, layers[i]));
    }
    PV_TRY(expect_end(r));
    table->rows[table->n_rows++] = row;
    return PV_OK;
}

static enum pv_status read_all(struct reader *r)
{
    struct sweep_table *table = r->table;
    uint32_t n_layers = 0;

    PV_TRY(read_head(r, &n_layers));
    while (next_line(r))
        PV_TRY(read_row(r, n_layers));
    if (table->n_rows == 0)
        return pv_fail(r->log, PV_ERR_FORMAT, "%s: holds no row; the sweep ended before its first", r->path);
    for (uint32_t i = 0; i < table->n_rows; i++) {
        table->rows[i].layer_energy = table->layers + (size_t)i * N_PARTS * n_layers;
        table->rows[i].layer_density = table->rows[i].layer_energy + n_layers;
    }
    return PV_OK;
}

enum pv_status sweep_read(const struct pv_log *log, const char *path, struct sweep_table *out)
{
    struct reader r = {.log = log, .path = path, .table = out};
    enum pv_status status;
    size_t size_bytes;

    *out = (struct sweep_table){0};
    PV_TRY(pv_file_read(path, log, &out->text, &size_bytes));
    r.next = out->text;
    status = strlen(out->text) == size_bytes
                 ? read_all(&r)
                 : pv_fail(log, PV_ERR_FORMAT, "%s: holds a zero byte, so it is not a table", path);
    if (status != PV_OK)
        sweep_table_free(out);
    return status;
}

/* One list of columns serves writing and reading. */
#include "lab/report/sweep_table.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

enum column_type { NUMBER, U32, U64, BOOL };
struct column {
    const char *name;
    enum column_type type;
    bool of_info; /* else of the row */
    size_t offset;
};

#define INFO(type, field)                                                                                    \
    {                                                                                                        \
#field, type, true, offsetof(struct pv_sweep_info, field)                                            \
    }
#define ROW(type, field)                                                                                     \
    {                                                                                                        \
#field, type, false, offsetof(struct pv_sweep_row, field)                                            \
    }
static const struct column columns[] = {
    ROW(BOOL, clustered),
    ROW(BOOL, knows_truth),
    ROW(U32, n_clusters),
    ROW(U32, rank),
    ROW(NUMBER, density_target),
    ROW(U32, own_masks),
    ROW(NUMBER, ppl),
    ROW(NUMBER, rise),
    ROW(NUMBER, density),
    ROW(NUMBER, predictor_bytes),
    ROW(NUMBER, bytes),
    ROW(NUMBER, precision),
    ROW(NUMBER, recall),
    ROW(NUMBER, weighted_recall),
    ROW(NUMBER, router_accuracy),
    ROW(NUMBER, own_density),
    ROW(NUMBER, own_precision),
    ROW(NUMBER, own_recall),
    ROW(NUMBER, own_weighted_recall),
    ROW(NUMBER, seconds),
    INFO(NUMBER, ppl_dense),
    INFO(NUMBER, dense_bytes),
    INFO(NUMBER, active),
    INFO(U64, n_fit_tokens),
    INFO(U64, n_test_tokens),
    INFO(U32, n_ctx),
    INFO(U32, n_layers),
    INFO(U32, d_model),
    INFO(U32, d_ffn),
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0], N_TEXTS = 4, MAX_LAYERS = 4096, LINE = 1 << 18 };
static const char *const texts[N_TEXTS] = {"model", "device", "method", "label"};

void sweep_write_head(FILE *file, uint32_t n_layers)
{
    for (int i = 0; i < N_TEXTS; i++)
        fprintf(file, "%s%s", i ? "," : "", texts[i]);
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(file, ",%s", columns[i].name);
    for (uint32_t l = 0; l < n_layers; l++)
        fprintf(file, ",energy_kept_%u", l);
    for (uint32_t l = 0; l < n_layers; l++)
        fprintf(file, ",density_%u", l);
    fputc('\n', file);
}

static void write_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (const char *at = text; *at; at++)
        if (*at != '"' && *at != '\n')
            fputc(*at, file);
    fputc('"', file);
}

static void write_number(FILE *file, double value)
{
    if (isfinite(value))
        fprintf(file, ",%.9g", value);
    else
        fputc(',', file); /* empty: does not apply */
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
    for (int i = 0; i < N_TEXTS; i++) {
        if (i)
            fputc(',', file);
        write_text(file, values[i]);
    }
    for (int i = 0; i < N_COLUMNS; i++)
        write_field(file, &columns[i], columns[i].of_info ? (const void *)info : row);
    for (uint32_t l = 0; l < info->n_layers; l++)
        write_number(file, row->layer_energy ? row->layer_energy[l] : (double)NAN);
    for (uint32_t l = 0; l < info->n_layers; l++)
        write_number(file, row->layer_density ? row->layer_density[l] : (double)NAN);
    fputc('\n', file);
    fflush(file);
}

/* Cuts the next field off; quotes are removed. NULL at the end. */
static char *next_field(char **at)
{
    char *field = *at, *end;
    if (!field)
        return NULL;
    if (*field == '"') {
        end = strchr(++field, '"');
        if (!end)
            return *at = NULL;
        *end++ = 0;
    } else {
        end = field + strcspn(field, ",\n");
    }
    *at = *end == ',' ? end + 1 : NULL;
    *end = 0;
    return field;
}

static bool read_value(const struct column *column, const char *field, void *base)
{
    void *at = (char *)base + column->offset;
    char *end = NULL;
    const double value = *field ? strtod(field, &end) : (double)NAN;
    if ((*field && *end) || (column->type != NUMBER && !(value >= 0 && value < 1e15)))
        return false;
    switch (column->type) {
    case NUMBER:
        *(double *)at = value;
        break;
    case U32:
        *(uint32_t *)at = value < 4294967295.0 ? (uint32_t)value : 0;
        break;
    case U64:
        *(uint64_t *)at = (uint64_t)value;
        break;
    case BOOL:
        *(bool *)at = value > 0;
        break;
    }
    return true;
}

static char *copy_text(const char *text)
{
    const size_t n = strlen(text) + 1;
    char *copy = malloc(n);
    return copy ? memcpy(copy, text, n) : NULL;
}

static bool read_row(char *line, struct sweep_table *table, struct pv_sweep_row *row)
{
    char *at = line, *text[N_TEXTS];
    double *layers;
    for (int i = 0; i < N_TEXTS; i++)
        if (!(text[i] = next_field(&at)))
            return false;
    for (int i = 0; i < N_COLUMNS; i++) {
        const char *field = next_field(&at);
        if (!field || !read_value(&columns[i], field, columns[i].of_info ? (void *)&table->info : row))
            return false;
    }
    if (table->info.n_layers == 0 || table->info.n_layers > MAX_LAYERS)
        return false;
    layers = malloc(2 * (size_t)table->info.n_layers * sizeof *layers);
    row->layer_energy = layers;
    row->layer_density = layers ? layers + table->info.n_layers : NULL;
    for (uint32_t l = 0; layers && l < 2 * table->info.n_layers; l++) {
        const char *field = next_field(&at);
        if (!field)
            return false;
        layers[l] = *field ? strtod(field, NULL) : (double)NAN;
    }
    row->method = copy_text(text[2]);
    row->label = copy_text(text[3]);
    snprintf(table->model, sizeof table->model, "%s", text[0]);
    snprintf(table->device, sizeof table->device, "%s", text[1]);
    return layers && row->method && row->label;
}

static bool read_lines(FILE *file, char *line, struct sweep_table *out)
{
    if (!fgets(line, LINE, file))
        return false;
    while (fgets(line, LINE, file)) {
        struct pv_sweep_row *rows = realloc(out->rows, (out->n_rows + (size_t)1) * sizeof *rows);
        if (!rows)
            return false;
        out->rows = rows;
        rows[out->n_rows] = (struct pv_sweep_row){0};
        if (!read_row(line, out, &rows[out->n_rows++]))
            return false;
    }
    return out->n_rows > 0;
}

enum pv_status sweep_read(struct console *console, const char *path, struct sweep_table *out)
{
    FILE *file = fopen(path, "rb");
    char *line = malloc(LINE);
    bool good = false;
    *out = (struct sweep_table){0};
    if (file && line)
        good = read_lines(file, line, out);
    if (file)
        fclose(file);
    free(line);
    if (good)
        return PV_OK;
    console_error(console, file ? "'%s' is not a sweep's table, or holds no row" : "cannot read '%s'", path);
    sweep_table_free(out);
    return file ? PV_ERR_FORMAT : PV_ERR_IO;
}

/* The table made these itself; the row's fields are read-only for everyone else. */
static void free_const(const void *owned)
{
    union {
        const void *in;
        void *out;
    } mine = {.in = owned};
    free(mine.out);
}

void sweep_table_free(struct sweep_table *table)
{
    for (uint32_t i = 0; i < table->n_rows; i++) {
        free_const(table->rows[i].method);
        free_const(table->rows[i].label);
        free_const(table->rows[i].layer_energy);
    }
    free(table->rows);
    *table = (struct sweep_table){0};
}

static bool same(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

const struct pv_sweep_row *sweep_find(const struct sweep_table *table, const char *method, uint32_t k,
                                      double density, bool judged)
{
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (!strcmp(row->method, method) && (!k || !row->clustered || row->n_clusters == k) &&
            (density <= 0 || same(row->density_target, density)) && (judged || isfinite(row->ppl)))
            return row;
    }
    return NULL;
}

const struct pv_sweep_row *sweep_judged(const struct sweep_table *table, const char *method, uint32_t k,
                                        enum pv_sweep_own masks)
{
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (row->own_masks == masks && row->n_clusters == k && !strcmp(row->method, method))
            return row;
    }
    return NULL;
}

uint32_t sweep_clusters(const struct sweep_table *table, uint32_t *out, uint32_t most)
{
    uint32_t n = 0;
    for (;;) { /* the smallest that is larger than the last */
        uint32_t next = UINT32_MAX;
        for (uint32_t i = 0; i < table->n_rows; i++)
            if (table->rows[i].n_clusters > (n ? out[n - 1] : 0) && table->rows[i].n_clusters < next)
                next = table->rows[i].n_clusters;
        if (next == UINT32_MAX || n == most)
            return n;
        out[n++] = next;
    }
}

uint32_t sweep_densities(const struct sweep_table *table, double *out, uint32_t most)
{
    uint32_t n = 0;
    for (;;) {
        double next = 2;
        for (uint32_t i = 0; i < table->n_rows; i++) {
            const double density = table->rows[i].density_target;
            if (isfinite(table->rows[i].ppl) && density > (n ? out[n - 1] + 1e-9 : 0) && density < next)
                next = density;
        }
        if (next > 1 || n == most)
            return n;
        out[n++] = next;
    }
}

static double log_rise(double rise)
{
    return log(rise > 1e-5 ? rise : 1e-5);
}

double sweep_rise_at(const struct sweep_table *table, const char *method, uint32_t k, double bytes,
                     int *beyond)
{
    const struct pv_sweep_row *below = NULL, *above = NULL;
    for (uint32_t i = 0; i < table->n_rows; i++) {
        const struct pv_sweep_row *row = &table->rows[i];
        if (strcmp(row->method, method) != 0 || (k && row->clustered && row->n_clusters != k) ||
            !isfinite(row->ppl))
            continue;
        if (row->bytes <= bytes && (!below || row->bytes > below->bytes))
            below = row;
        if (row->bytes >= bytes && (!above || row->bytes < above->bytes))
            above = row;
    }
    *beyond = !below ? -1 : !above ? 1 : 0;
    if (!below || !above)
        return below ? below->rise : above ? above->rise : (double)NAN;
    const double span = above->bytes - below->bytes, share = span > 0 ? (bytes - below->bytes) / span : 0;
    return exp((1 - share) * log_rise(below->rise) + share * log_rise(above->rise));
}

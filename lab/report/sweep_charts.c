/* The sweep's pictures. A method keeps its colour in all of them. */
#include "lab/report/sweep_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/report/chart.h"

enum { KS = 32, DENSITIES = 32 };

struct charting {
    const struct sweep_table *table;
    uint32_t k[KS], n_k;
    double density[DENSITIES];
    uint32_t n_density;
    struct chart *chart; /* the one under way */
};

static const char *colour_of(const char *method)
{
    for (uint32_t i = 0; pv_sweep_method_name(i); i++)
        if (!strcmp(pv_sweep_method_name(i), method))
            return chart_colour(i);
    return chart_colour(0);
}

static struct chart_series *add_method(const struct charting *c, const char *method, uint32_t k,
                                       const char *suffix, bool dashed)
{
    const struct pv_sweep_row *row = sweep_find(c->table, method, k, 0, true);
    char label[80];
    if (!row)
        return NULL;
    snprintf(label, sizeof label, "%s%s", row->label, suffix);
    return chart_add(c->chart, label, colour_of(method), dashed || row->knows_truth);
}

static void start(const struct charting *c, struct chart chart)
{
    *c->chart = chart;
}

static uint32_t top_k(const struct charting *c)
{
    return c->n_k ? c->k[c->n_k - 1] : 0;
}

/* Rise over density, every method at the largest K. */
static enum pv_status draw_density(const struct charting *c)
{
    char title[128];
    snprintf(title, sizeof title, "Perplexity rise over density (K = %u)", top_k(c));
    start(c, (struct chart){.title = title,
                            .x_label = "density asked for (share of neurons computed)",
                            .y_label = "rise over dense",
                            .log_x = true,
                            .log_y = true,
                            .y_percent = true,
                            .y_floor = 5e-4});
    for (uint32_t m = 0; pv_sweep_method_name(m); m++) {
        const char *method = pv_sweep_method_name(m);
        struct chart_series *series = add_method(c, method, top_k(c), "", false);
        for (uint32_t i = 0; i < c->n_density; i++) {
            const struct pv_sweep_row *row = sweep_find(c->table, method, top_k(c), c->density[i], false);
            if (row)
                chart_point(series, c->density[i], fmax(row->rise, 0));
        }
    }
    return PV_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const struct pv_sweep_row *x = *(const struct pv_sweep_row *const *)a,
                              *y = *(const struct pv_sweep_row *const *)b;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* What a method reaches at best for the bytes it reads, over all K and densities. */
static enum pv_status draw_bytes(const struct charting *c)
{
    const struct pv_sweep_row **rows = calloc(c->table->n_rows, sizeof *rows);
    if (!rows)
        return PV_ERR_NOMEM;
    start(c, (struct chart){.title =
                                "Perplexity rise over bytes read, predictor included (best K at each point)",
                            .x_label = "bytes of the feed-forward layers a token reads, as a share of dense",
                            .y_label = "rise over dense",
                            .log_y = true,
                            .x_percent = true,
                            .y_percent = true,
                            .y_floor = 5e-4});
    for (uint32_t m = 0; pv_sweep_method_name(m); m++) {
        uint32_t n = 0;
        double best = INFINITY;
        for (uint32_t i = 0; i < c->table->n_rows; i++)
            if (!strcmp(c->table->rows[i].method, pv_sweep_method_name(m)) && isfinite(c->table->rows[i].ppl))
                rows[n++] = &c->table->rows[i];
        qsort(rows, n, sizeof *rows, by_bytes);
        struct chart_series *series = n ? add_method(c, pv_sweep_method_name(m), 0, "", false) : NULL;
        for (uint32_t i = 0; i < n; i++)
            if (rows[i]->rise < best) {
                best = rows[i]->rise;
                chart_point(series, rows[i]->bytes / c->table->info.dense_bytes, fmax(best, 0));
            }
    }
    free(rows);
    return PV_OK;
}

/* Rise over K, one line a density. */
static enum pv_status draw_clusters(const struct charting *c)
{
    start(c, (struct chart){.title = "Perplexity rise over the number of clusters",
                            .x_label = "clusters per layer, K",
                            .y_label = "rise over dense",
                            .log_x = true,
                            .log_y = true,
                            .y_percent = true,
                            .y_floor = 5e-4});
    static const char *const methods[] = {"parvin", "k-means"};
    for (int m = 0; m < 2; m++)
        for (uint32_t i = 0; i < c->n_density; i++) {
            if (!sweep_find(c->table, methods[m], 0, c->density[i], false))
                continue;
            char label[80];
            snprintf(label, sizeof label, "%s, density %.4g", m ? "k-means, most often active" : "Parvin",
                     c->density[i]);
            struct chart_series *series = chart_add(c->chart, label, chart_colour(i + 1), m > 0);
            for (uint32_t k = 0; k < c->n_k; k++) {
                const struct pv_sweep_row *row =
                    sweep_find(c->table, methods[m], c->k[k], c->density[i], false);
                if (row)
                    chart_point(series, c->k[k], row->rise);
            }
        }
    return PV_OK;
}

/* Precision and recall of the clusterings at masks as large as the mean pattern. */
static enum pv_status draw_precision(const struct charting *c)
{
    static const char *const methods[] = {"k-modes", "k-means", "parvin-active", "parvin-hits", "parvin"};
    start(c, (struct chart){
                 .title = "Clustering: masks as large as the mean pattern, every token in its own cluster",
                 .x_label = "clusters per layer, K",
                 .y_label = "precision (= recall on average)",
                 .log_x = true,
                 .y_percent = true});
    for (int m = 0; m < 5; m++)
        for (int recall = 0; recall < 2; recall++) {
            struct chart_series *series =
                add_method(c, methods[m], 0, recall ? ": recall" : ": precision", recall);
            for (uint32_t k = 0; k < c->n_k; k++) {
                const struct pv_sweep_row *row =
                    sweep_judged(c->table, methods[m], c->k[k], PV_SWEEP_OWN_BUDGET);
                if (row)
                    chart_point(series, c->k[k], recall ? row->own_recall : row->own_precision);
            }
        }
    return PV_OK;
}

static enum pv_status draw_accuracy(const struct charting *c)
{
    static const char *const methods[] = {"k-modes", "k-means", "parvin", "parvin-lowrank",
                                          "parvin-centroid"};
    start(c, (struct chart){.title = "Router accuracy on the text measured",
                            .x_label = "clusters per layer, K",
                            .y_label = "tokens whose router names their pattern's own cluster",
                            .log_x = true,
                            .y_percent = true});
    for (int m = 0; m < 5; m++) {
        struct chart_series *series = add_method(c, methods[m], 0, "", false);
        for (uint32_t k = 0; k < c->n_k; k++) {
            const struct pv_sweep_row *row = sweep_find(c->table, methods[m], c->k[k], 0, false);
            if (row)
                chart_point(series, c->k[k], row->router_accuracy);
        }
    }
    return PV_OK;
}

/* Energy that masks leave out, layer by layer. */
static enum pv_status draw_energy(const struct charting *c)
{
    const double density = c->n_density ? c->density[c->n_density / 2] : 0;
    char title[128];
    snprintf(title, sizeof title, "Energy kept per layer at density %.4g (K = %u)", density, top_k(c));
    start(c, (struct chart){.title = title,
                            .x_label = "layer",
                            .y_label = "share of the sum of squared contributions kept",
                            .y_percent = true});
    for (uint32_t m = 0; pv_sweep_method_name(m); m++) {
        const struct pv_sweep_row *row =
            sweep_find(c->table, pv_sweep_method_name(m), top_k(c), density, false);
        struct chart_series *series =
            row ? add_method(c, pv_sweep_method_name(m), top_k(c), "", false) : NULL;
        for (uint32_t l = 0; row && l < c->table->info.n_layers; l++)
            chart_point(series, l, row->layer_energy[l]);
    }
    return PV_OK;
}

static const struct {
    const char *name;
    enum pv_status (*draw)(const struct charting *);
    bool without_rises; /* drawn of a table that has clusterings alone, too */
} charts[] = {
    {"rise-density", draw_density, false},     {"rise-bytes", draw_bytes, false},
    {"rise-clusters", draw_clusters, false},   {"precision-recall", draw_precision, true},
    {"router-accuracy", draw_accuracy, false}, {"energy-layers", draw_energy, false},
};
enum { CHARTS = sizeof charts / sizeof charts[0] };

const char *sweep_chart_name(uint32_t i)
{
    return i < CHARTS ? charts[i].name : NULL;
}

enum pv_status sweep_write_charts(struct console *console, const struct sweep_table *table,
                                  const char *folder)
{
    struct charting c = {.table = table, .chart = malloc(sizeof *c.chart)};
    enum pv_status status = c.chart ? PV_OK : PV_ERR_NOMEM;
    c.n_k = sweep_clusters(table, c.k, KS);
    c.n_density = sweep_densities(table, c.density, DENSITIES);
    for (uint32_t i = 0; !status && i < CHARTS; i++) {
        char path[4096];
        const int n = snprintf(path, sizeof path, "%s/%s.svg", folder, charts[i].name);
        if (!c.n_density && !charts[i].without_rises)
            continue;
        status = n < 0 || (size_t)n >= sizeof path ? PV_ERR_ARG : charts[i].draw(&c);
        if (!status)
            status = chart_write(console, c.chart, path);
    }
    free(c.chart);
    return status;
}

/* The report in Markdown: what was measured, in tables. Everything in it comes from the sweep's table. */
#include "lab/report/sweep_report.h"

#include <math.h>
#include <string.h>

#include "cli/output.h"

enum { KS = 32, DENSITIES = 32, N_OURS = 3 };
static const char *const candidates[N_OURS] = {"parvin", "parvin-mask", "parvin-lowrank"};

struct report {
    FILE *out;
    const struct sweep_table *table;
    uint32_t k[KS], n_k;
    double density[DENSITIES];
    uint32_t n_density;
};

static void write_share(FILE *out, double share, int digits)
{
    if (isfinite(share))
        fprintf(out, " %.*f |", digits, 100 * share);
    else
        fputs(" |", out);
}

/* The rest of a line on masks. */
static void write_masks(FILE *out, double density, double precision, double recall, double weighted_recall)
{
    fprintf(out, " %.4f |", density);
    write_share(out, precision, 2);
    write_share(out, recall, 2);
    write_share(out, weighted_recall, 2);
    fputc('\n', out);
}

/* Three significant digits, so that 0.3 and 7700 are both read at a glance. */
static void write_rise(FILE *out, double rise, bool beyond)
{
    const double percent = 100 * rise;
    if (!isfinite(percent))
        fputs(" |", out);
    else
        fprintf(out, " %s%.*f |", beyond ? "~" : "",
                fabs(percent) < 10    ? 2
                : fabs(percent) < 100 ? 1
                                      : 0,
                percent);
}

static void write_intro(const struct report *r)
{
    const struct pv_sweep_info *info = &r->table->info;
    fprintf(
        r->out,
        "<!-- parvin-lab -->\n%s, %u layers of %u neurons, width %u. Learned from %llu tokens, measured on %llu tokens of "
        "other text in "
        "windows of %u, on %s.\nDense perplexity %.3f. A token reads %.2f MB of feed-forward weights "
        "when dense; "
        "%.1f %% of the neurons are active.\n\n",
        r->table->model, info->n_layers, info->d_ffn, info->d_model, (unsigned long long)info->n_fit_tokens,
        (unsigned long long)info->n_test_tokens, info->n_ctx, r->table->device, info->ppl_dense,
        info->dense_bytes / 1e6, 100 * info->active);
}

static void write_densities(const struct report *r, const char *what)
{
    for (uint32_t i = 0; i < r->n_density; i++)
        fprintf(r->out, " %s %.4g |", what, r->density[i]);
    fputs("\n", r->out);
}

static void write_rule(const struct report *r, uint32_t n_left, uint32_t n_right)
{
    fputc('|', r->out);
    for (uint32_t i = 0; i < n_left; i++)
        fputs("---|", r->out);
    for (uint32_t i = 0; i < n_right; i++)
        fputs("---:|", r->out);
    fputc('\n', r->out);
}

static void write_method(const struct report *r, const char *method, uint32_t k)
{
    const struct pv_sweep_row *any = sweep_find(r->table, method, k, 0, false);
    if (!any)
        return;
    fprintf(r->out, "| %s%s |", any->label, any->knows_truth ? " *" : "");
    if (any->clustered)
        fprintf(r->out, " %u |", k);
    else
        fputs(" |", r->out);
    write_share(r->out, any->predictor_bytes / r->table->info.dense_bytes, 1);
    for (uint32_t i = 0; i < r->n_density; i++) {
        const struct pv_sweep_row *row = sweep_find(r->table, method, k, r->density[i], false);
        write_rise(r->out, row ? row->rise : (double)NAN, false);
    }
    for (uint32_t i = 0; i < r->n_density; i++) {
        const struct pv_sweep_row *row = sweep_find(r->table, method, k, r->density[i], false);
        write_share(r->out, row ? row->bytes / r->table->info.dense_bytes : (double)NAN, 1);
    }
    fputc('\n', r->out);
}

/* Does some row of this name depend on K? */
static bool is_clustered(const struct report *r, const char *method)
{
    const struct pv_sweep_row *row = sweep_find(r->table, method, 0, 0, true);
    return row && row->clustered;
}

static void write_rises(const struct report *r)
{
    fputs("## Perplexity rise at equal density\n\nRise over dense in percent at a density asked for, and the "
          "bytes of the "
          "feed-forward layers that a token then reads, predictor included, in percent of dense. \\* marks "
          "references "
          "that use what a run cannot know.\n\n![](rise-density.svg)\n\n| method | K | predictor |",
          r->out);
    for (uint32_t i = 0; i < r->n_density; i++)
        fprintf(r->out, " rise at %.4g |", r->density[i]);
    write_densities(r, "bytes at");
    write_rule(r, 1, 2 + 2 * r->n_density);
    for (uint32_t m = 0; pv_sweep_method_name(m); m++)
        if (!is_clustered(r, pv_sweep_method_name(m)))
            write_method(r, pv_sweep_method_name(m), 0);
    for (uint32_t k = 0; k < r->n_k; k++)
        for (uint32_t m = 0; pv_sweep_method_name(m); m++)
            if (is_clustered(r, pv_sweep_method_name(m)))
                write_method(r, pv_sweep_method_name(m), r->k[k]);
    fputs("\n![](rise-clusters.svg)\n\n", r->out);
}

static void write_equal_bytes(const struct report *r)
{
    fputs("## At equal bytes read\n\nThe same rows of Parvin against sign bits and low-rank prediction where "
          "those read "
          "as many bytes per token, predictor included (between measured points, on logarithms; ~ is the "
          "nearest point "
          "measured, where there is none on both sides). Low-rank prediction has the rank that reads the "
          "bytes of K "
          "router rows.\n\n![](rise-bytes.svg)\n\n| method | K | density | bytes | rise | sign bits | low "
          "rank | SVD "
          "|\n",
          r->out);
    write_rule(r, 1, 7);
    for (int m = 0; m < N_OURS; m++)
        for (uint32_t k = 0; k < r->n_k; k++)
            for (uint32_t i = 0; i < r->n_density; i++) {
                const struct pv_sweep_row *row =
                    sweep_find(r->table, candidates[m], r->k[k], r->density[i], false);
                int beyond;
                if (!row)
                    continue;
                fprintf(r->out, "| %s | %u | %.4g |", row->label, row->n_clusters, row->density_target);
                write_share(r->out, row->bytes / r->table->info.dense_bytes, 1);
                write_rise(r->out, row->rise, false);
                static const char *const rivals[] = {"sign", "lowrank", "svd"};
                for (int rival = 0; rival < 3; rival++) {
                    const double rise = sweep_rise_at(r->table, rivals[rival], r->k[k], row->bytes, &beyond);
                    write_rise(r->out, rise, beyond != 0);
                }
                fputc('\n', r->out);
            }
    fputc('\n', r->out);
}

static void write_clustering(const struct report *r)
{
    fputs(
        "## What clustering itself reaches\n\nEvery token with its own pattern's cluster, masks as large as "
        "the mean "
        "pattern (one budget over all layers); precision is the share of computed neurons that are active, "
        "recall the "
        "share of active ones computed, weighted recall the share of the squared contributions kept. The "
        "rows "
        "\"layer by layer\" have no budget over the layers: every cluster's mask is as large as its layer's "
        "mean "
        "pattern; the rows "
        "\"modes\" are k-modes' own modes, what more than half of a cluster's tokens have.\n\n"
        "![](precision-recall.svg)\n\n| clustering | K | density | precision | recall | weighted recall |\n",
        r->out);
    write_rule(r, 1, 5);
    for (uint32_t k = 0; k < r->n_k; k++)
        for (uint32_t i = 0; i < r->table->n_rows; i++) {
            const struct pv_sweep_row *row = &r->table->rows[i];
            if (row->own_masks == PV_SWEEP_RUN || row->n_clusters != r->k[k])
                continue;
            fprintf(r->out, "| %s%s | %u |", row->label,
                    row->own_masks == PV_SWEEP_OWN_MAJORITY ? ": modes"
                    : row->own_masks == PV_SWEEP_OWN_LAYER  ? ": layer by layer"
                                                            : "",
                    row->n_clusters);
            write_masks(r->out, row->own_density, row->own_precision, row->own_recall,
                        row->own_weighted_recall);
        }
    fputc('\n', r->out);
}

static void write_routed(const struct report *r)
{
    fputs("Routed, over the same text as the perplexities:\n\n| method | K | density | precision | recall "
          "| weighted "
          "recall |\n",
          r->out);
    write_rule(r, 1, 5);
    for (uint32_t m = 0; pv_sweep_method_name(m); m++)
        for (uint32_t k = 0; k < (is_clustered(r, pv_sweep_method_name(m)) ? r->n_k : 1); k++)
            for (uint32_t i = 0; i < r->n_density; i++) {
                const struct pv_sweep_row *row =
                    sweep_find(r->table, pv_sweep_method_name(m), r->n_k ? r->k[k] : 0, r->density[i], false);
                if (!row)
                    continue;
                fprintf(r->out, "| %s | ", row->label);
                if (row->clustered)
                    fprintf(r->out, "%u", row->n_clusters);
                fputs(" |", r->out);
                write_masks(r->out, row->density, row->precision, row->recall, row->weighted_recall);
            }
    fputc('\n', r->out);
}

static void write_routers(const struct report *r)
{
    const struct pv_sweep_info *info = &r->table->info;
    fputs("## Routers\n\nAccuracy on the text measured, in percent; bytes in percent of the dense "
          "feed-forward layers, "
          "and what the same router would be at d=4096, F=14336.\n\n![](router-accuracy.svg)\n\n"
          "| clusters and router | K | rank | accuracy | bytes | bytes at d=4096, F=14336 |\n",
          r->out);
    write_rule(r, 1, 5);
    for (uint32_t k = 0; k < r->n_k; k++)
        for (uint32_t m = 0; pv_sweep_method_name(m); m++) {
            const struct pv_sweep_row *row = sweep_find(r->table, pv_sweep_method_name(m), r->k[k], 0, false);
            double matrices = info->dense_bytes, large;
            if (!row || !isfinite(row->router_accuracy))
                continue;
            /* the rank grows with d */
            large = row->rank ? row->rank * (4096.0 / info->d_model) * (4096.0 + row->n_clusters)
                              : 4096.0 * row->n_clusters;
            fprintf(r->out, "| %s | %u | ", row->label, row->n_clusters);
            if (row->rank)
                fprintf(r->out, "%u", row->rank);
            fputs(" |", r->out);
            write_share(r->out, row->router_accuracy, 2);
            write_share(r->out, row->predictor_bytes / matrices, 2);
            write_share(r->out, large / (2.0 * 4096 * 14336), 2);
            fputc('\n', r->out);
        }
    fputs("\n## Energy kept per layer\n\n![](energy-layers.svg)\n\n| method | K | density |", r->out);
    for (uint32_t l = 0; l < info->n_layers; l++)
        fprintf(r->out, " layer %u |", l);
    fputc('\n', r->out);
    write_rule(r, 1, 2 + info->n_layers);
    for (uint32_t i = 0; i < r->table->n_rows; i++) {
        const struct pv_sweep_row *row = &r->table->rows[i];
        if (!isfinite(row->ppl) || (row->clustered && r->n_k && row->n_clusters != r->k[r->n_k - 1]))
            continue;
        fprintf(r->out, "| %s | ", row->label);
        if (row->clustered)
            fprintf(r->out, "%u", row->n_clusters);
        fprintf(r->out, " | %.4g |", row->density_target);
        for (uint32_t l = 0; l < info->n_layers; l++)
            fprintf(r->out, " %.2f (%.3f) |", 100 * row->layer_energy[l], row->layer_density[l]);
        fputc('\n', r->out);
    }
    fputs("\nPercent of the energy kept, and in brackets the layer's own density.\n\n", r->out);
}

enum pv_status sweep_write_report(struct console *console, const struct sweep_table *table,
                                  const char *folder)
{
    struct report r = {.table = table};
    struct output_file out;
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s/sweep.md", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return PV_ERR_ARG;
    const enum pv_status status = output_open(console, path, &out);
    if (status)
        return status;
    r.out = out.file;
    r.n_k = sweep_clusters(table, r.k, KS);
    r.n_density = sweep_densities(table, r.density, DENSITIES);
    write_intro(&r);
    if (r.n_density) {
        write_rises(&r);
        write_equal_bytes(&r);
    }
    write_clustering(&r);
    if (r.n_density) {
        write_routed(&r);
        write_routers(&r);
    }
    return output_close(console, &out, true);
}

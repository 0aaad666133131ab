/* Rows are made once and printed in three forms. Bytes, dispatches and bandwidth are of decode: a prompt reads a weight once for
 * many tokens. */
#include "reports/speed_report.h"

#include <stdlib.h>
#include <string.h>

#include "reports/device_report.h"

struct row {
    const char *mode;
    char test[24];
    struct speed speed;
    const struct model_bench_mode *decode; /* NULL in rows of prompts */
    double gb_s;
};

bool speed_format(const char *name, enum speed_format *out)
{
    static const char *const names[] = {"table", "md", "csv"};
    *out = SPEED_TABLE;
    for (uint32_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum speed_format)i;
            return true;
        }
    return !name;
}

static uint32_t make_rows(const struct model_bench *b, struct row rows[4])
{
    static const char *const modes[] = {"dense", "masked"};
    uint32_t n = 0;
    for (uint32_t m = 0; m < b->n_modes && b->n_prompt > 0; m++, n++) {
        rows[n] = (struct row){.mode = modes[m], .speed = b->modes[m].prompt};
        snprintf(rows[n].test, sizeof rows[n].test, "pp%u", b->n_prompt);
    }
    for (uint32_t m = 0; m < b->n_modes && b->n_decode > 0; m++, n++) {
        const struct model_bench_mode *mode = &b->modes[m];
        rows[n] = (struct row){.mode = modes[m],
                               .speed = mode->decode,
                               .decode = mode,
                               .gb_s = mode->bytes * mode->decode.mean / 1e9};
        snprintf(rows[n].test, sizeof rows[n].test, "tg%u", b->n_decode);
    }
    return n;
}

static double share(const struct speed_report *r, const struct row *row)
{
    return r->copy_gb_s > 0 ? row->gb_s / r->copy_gb_s : 0;
}

static void print_row(const struct speed_report *r, const struct row *row)
{
    printf("%-8s %-7s %10.2f +- %8.2f", row->test, row->mode, row->speed.mean, row->speed.deviation);
    if (row->decode)
        printf(" %10.3f %10u %8.2f", row->decode->bytes / 1e6, row->decode->n_dispatches, row->gb_s);
    if (row->decode && r->copy_gb_s > 0)
        printf(" %6.1f %%", 100 * share(r, row));
    putchar('\n');
}

/* A text of a CSV row, in quotes. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_markdown(const struct speed_report *r, const struct row *row)
{
    const struct pv_hparams *hp = pv_model_hparams(r->model);
    fputs("| ", stdout);
    device_report_cell(stdout, hp->name);
    printf(" | %.2f MiB | %.2f M | ", (double)pv_model_weight_bytes(r->model) / (1 << 20),
           (double)pv_model_n_params(r->model) / 1e6);
    device_report_cell(stdout, r->device);
    printf(" | %s | %s | %.2f ± %.2f |", row->mode, row->test, row->speed.mean, row->speed.deviation);
    if (row->decode)
        printf(" %.3f | %u | %.2f |", row->decode->bytes / 1e6, row->decode->n_dispatches, row->gb_s);
    else
        fputs(" | | |", stdout);
    if (row->decode && r->copy_gb_s > 0)
        printf(" %.1f %% |\n", 100 * share(r, row));
    else
        puts(" |");
}

static void print_csv(const struct speed_report *r, const struct row *row)
{
    print_quoted(pv_model_hparams(r->model)->name);
    printf(",%llu,%llu,", (unsigned long long)pv_model_weight_bytes(r->model),
           (unsigned long long)pv_model_n_params(r->model));
    print_quoted(r->device);
    printf(",%s,%s,%u,%.4f,%.4f", row->mode, row->test, r->bench->n_rounds, row->speed.mean,
           row->speed.deviation);
    if (row->decode)
        printf(",%.0f,%u,%.4f", row->decode->bytes, row->decode->n_dispatches, row->gb_s);
    else
        fputs(",,,", stdout);
    if (row->decode && r->copy_gb_s > 0)
        printf(",%.4f\n", share(r, row));
    else
        puts(",");
}

static void print_ffn(const char *mode, const struct model_bench_mode *m)
{
    printf(
        "feed-forward %-6s reads %.3f MB a token, %.3f with rows of zeros: %.3f of it; %.3f of ffn_down's rows\n",
        mode, m->ffn_read / 1e6, m->ffn_all / 1e6, m->ffn_read / m->ffn_all, m->down_rows);
}

/* What the rows of a table leave open. */
static void print_rest(const struct model_bench *b)
{
    if (b->n_decode == 0)
        return;
    if (b->n_modes > 1)
        printf("masked decode is %.2f times as fast, density %.3f\n",
               b->modes[1].decode.mean / b->modes[0].decode.mean, b->modes[1].density);
    print_ffn("dense", &b->modes[0]);
    if (b->n_modes > 1)
        print_ffn("masked", &b->modes[1]);
}

void speed_report_print(const struct speed_report *report, enum speed_format format)
{
    static void (*const print[])(const struct speed_report *,
                                 const struct row *) = {print_row, print_markdown, print_csv};
    struct row rows[4];
    const uint32_t n = make_rows(report->bench, rows);
    if (format == SPEED_TABLE)
        printf("\n%-8s %-7s %10s %11s %10s %10s %8s %8s\n", "test", "mode", "tok/s", "", "MB/token",
               "dispatches", "GB/s", "of copy");
    if (format == SPEED_MARKDOWN)
        puts(
            "| model | size | params | device | mode | test | t/s | MB a token | dispatches | GB/s | of copy |\n"
            "|---|---:|---:|---|---|---:|---:|---:|---:|---:|---:|");
    if (format == SPEED_CSV)
        puts(
            "model,size_bytes,n_params,device,mode,test,reps,tok_s,tok_s_deviation,token_bytes,dispatches,gb_s,"
            "share_of_copy");
    for (uint32_t i = 0; i < n; i++)
        print[format](report, &rows[i]);
    if (format == SPEED_TABLE)
        print_rest(report->bench);
}

json_t *speed_report_json(const struct speed_report *report)
{
    struct row rows[4];
    json_t *array = json_array();
    const uint32_t n = make_rows(report->bench, rows);
    for (uint32_t i = 0; i < n; i++) {
        json_t *object = json_object();
        const struct model_bench_mode *m = rows[i].decode;
        json_put_string(object, "test", rows[i].test);
        json_put_string(object, "mode", rows[i].mode);
        json_put_count(object, "reps", report->bench->n_rounds);
        json_put_number(object, "tok_s", rows[i].speed.mean);
        json_put_number(object, "tok_s_deviation", rows[i].speed.deviation);
        if (m) {
            json_put_number(object, "density", m->density);
            json_put_number(object, "token_bytes", m->bytes);
            json_put_number(object, "ffn_bytes", m->ffn_read);
            json_put_number(object, "ffn_bytes_with_zeros", m->ffn_all);
            json_put_number(object, "down_rows", m->down_rows);
            json_put_count(object, "dispatches", m->n_dispatches);
            json_put_number(object, "gb_s", rows[i].gb_s);
            json_put_number(object, "share_of_copy", share(report, &rows[i]));
        }
        json_array_append_new(array, object);
    }
    return array;
}

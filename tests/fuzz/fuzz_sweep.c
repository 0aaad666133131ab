/* Any bytes as a sweep's table; what is read must keep its promises, and its report and charts come to an end. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "fuzz.h"
#include "lab/report/sweep_report.h"
#include "lab/sweep/sweep_csv.h"

static const char *const files[] = {"sweep.csv",           "sweep.md",          "rise-density.svg",
                                    "rise-bytes.svg",      "rise-clusters.svg", "precision-recall.svg",
                                    "router-accuracy.svg", "energy-layers.svg"};
enum { N_FILES = sizeof files / sizeof files[0] };

static void check_row(const struct sweep_table *table, const struct pv_sweep_row *row)
{
    if (!row->method || !row->label || row->own_masks >= PV_SWEEP_OWN_COUNT || row->n_clusters > 65536 ||
        !(row->density_target >= 0 && row->density_target <= 1))
        abort();
    for (uint32_t l = 0; l < table->info.n_layers && isfinite(row->ppl); l++) {
        if (!(row->layer_energy[l] >= 0 && row->layer_energy[l] <= 1 && row->layer_density[l] >= 0 &&
              row->layer_density[l] <= 1))
            abort();
    }
}

static void write_input(const char *path, const uint8_t *data, size_t size_bytes)
{
    struct pv_writer w;

    if (pv_writer_open(&w, path, NULL) != PV_OK)
        abort();
    pv_writer_put(&w, data, size_bytes);
    if (pv_writer_commit(&w) != PV_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct sweep_table table;
    struct console console;
    char folder[64], path[128];

    snprintf(folder, sizeof folder, "fuzz-sweep-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/%s", folder, files[0]);
    if (mkdir(folder, 0777) != 0)
        abort();
    write_input(path, data, size_bytes);
    console_init(&console);
    if (sweep_read(NULL, path, &table) == PV_OK) {
        for (uint32_t i = 0; i < table.n_rows; i++)
            check_row(&table, &table.rows[i]);
        if (sweep_write_report(&console, &table, folder) != PV_OK ||
            sweep_write_charts(&console, &table, folder) != PV_OK)
            abort();
        sweep_table_free(&table);
    }
    for (int i = 0; i < N_FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        remove(path);
    }
    if (rmdir(folder) != 0)
        abort();
    return 0;
}

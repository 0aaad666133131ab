/* A model in several files, NAME-00001-of-00003.gguf and so on. The first part has the keys of the model, every part
 * its own tensors and the keys split.no (from 0), split.count and split.tensors.count (of all parts). Source:
 * https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split */
#include "format/gguf/gguf_split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

enum { MAX_PARTS = 99999, ENDING_BYTES = sizeof "-00001-of-00003.gguf" - 1 };

/* Writes the path of a part, numbered from 1, over `path` [strlen + 1]. */
static void name_part(char *path, uint32_t number, uint32_t n_parts)
{
    char ending[2 * ENDING_BYTES];

    snprintf(ending, sizeof ending, "-%05u-of-%05u.gguf", (unsigned)number, (unsigned)n_parts);
    memcpy(path + strlen(path) - ENDING_BYTES, ending, ENDING_BYTES);
}

/* Does the name end as a part's, of this many? */
static bool is_part_name(const char *path, uint32_t n_parts)
{
    const size_t n = strlen(path);
    char *copy = n >= ENDING_BYTES ? pv_strndup(path, n) : NULL;
    unsigned number = 0;
    bool same = copy && sscanf(path + n - ENDING_BYTES, "-%5u-of-", &number) == 1 && number >= 1;

    if (same) {
        name_part(copy, number, n_parts);
        same = strcmp(copy, path) == 0;
    }
    free(copy);
    return same;
}

/* Says which parts are missing. */
static enum pv_status check_parts(char *path, uint32_t n_parts, const struct pv_log *log)
{
    char missing[256] = "";
    size_t used = 0;
    uint32_t n_missing = 0;

    for (uint32_t i = 1; i <= n_parts; i++) {
        name_part(path, i, n_parts);
        if (access(path, F_OK) == 0)
            continue;
        if (n_missing++ < 8)
            used += (size_t)snprintf(missing + used, sizeof missing - used, "%s%u", used ? ", " : "",
                                     (unsigned)i);
        else if (n_missing == 9)
            snprintf(missing + used, sizeof missing - used, ", ...");
    }
    if (n_missing == 0)
        return PV_OK;
    name_part(path, 1, n_parts);
    return pv_fail(
        log, PV_ERR_IO,
        "%s: the model is in %u files, and %u of them %s missing (part %s): put all of them into one folder",
        path, (unsigned)n_parts, (unsigned)n_missing, n_missing == 1 ? "is" : "are", missing);
}

/* Is this part `number` (from 1) of so many? */
static enum pv_status check_number(const struct pv_gguf *part, uint32_t number, uint32_t n_parts,
                                   const struct pv_log *log)
{
    uint64_t no, count;

    if (!pv_gguf_u64(part, "split.no", &no) || !pv_gguf_u64(part, "split.count", &count) ||
        no != number - 1 || count != n_parts)
        return pv_fail(log, PV_ERR_FORMAT, "%s: is not part %u of %u, as its name says: download it again",
                       part->path, (unsigned)number, (unsigned)n_parts);
    return PV_OK;
}

static int compare_tensor(const void *a, const void *b)
{
    return strcmp((*(const struct pv_gguf_tensor *const *)a)->name,
                  (*(const struct pv_gguf_tensor *const *)b)->name);
}

/* The tensors of all parts as those of `g`. */
static enum pv_status join_tensors(struct pv_gguf *g, const struct pv_log *log)
{
    size_t n = g->n_tensors, at = g->n_tensors;
    struct pv_gguf_tensor *tensors;
    const struct pv_gguf_tensor **by_name;
    uint64_t expected;

    for (uint32_t i = 0; i < g->n_parts; i++)
        n += g->parts[i].n_tensors;
    if (pv_gguf_u64(g, "split.tensors.count", &expected) && expected != n)
        return pv_fail(log, PV_ERR_FORMAT, "%s: its parts have %zu tensors, not %llu: download them again",
                       g->path, n, (unsigned long long)expected);
    tensors = pv_arena_alloc(&g->arena, n, sizeof tensors[0]);
    by_name = pv_arena_alloc(&g->arena, n, sizeof by_name[0]);
    if (!tensors || !by_name)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to read it", g->path);
    if (g->n_tensors != 0)
        memcpy(tensors, g->tensors, g->n_tensors * sizeof tensors[0]);
    for (uint32_t i = 0; i < g->n_parts; i++) {
        const struct pv_gguf *part = &g->parts[i];

        if (part->n_tensors != 0)
            memcpy(tensors + at, part->tensors, part->n_tensors * sizeof tensors[0]);
        at += part->n_tensors;
    }
    for (size_t i = 0; i < n; i++)
        by_name[i] = &tensors[i];
    if (n != 0)
        qsort(by_name, n, sizeof by_name[0], compare_tensor);
    for (size_t i = 1; i < n; i++)
        if (strcmp(by_name[i - 1]->name, by_name[i]->name) == 0)
            return pv_fail(log, PV_ERR_FORMAT, "%s: tensor %.200s is in two of its parts", g->path,
                           by_name[i]->name);
    g->tensors = tensors;
    g->tensors_by_name = by_name;
    g->n_tensors = n;
    return PV_OK;
}

/* Opens parts 2 to n_parts behind `g`, which is the first. */
static enum pv_status open_parts(struct pv_gguf *g, char *path, uint32_t n_parts, const struct pv_log *log)
{
    PV_TRY(check_number(g, 1, n_parts, log));
    g->parts = pv_calloc(n_parts - 1, sizeof g->parts[0]);
    if (!g->parts)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to read it", path);
    for (uint32_t i = 2; i <= n_parts; i++) {
        name_part(path, i, n_parts);
        PV_TRY(pv_gguf_open_one(&g->parts[g->n_parts], path, log));
        g->n_parts++; /* open, and to be closed from now on */
        PV_TRY(check_number(&g->parts[g->n_parts - 1], i, n_parts, log));
    }
    return join_tensors(g, log);
}

enum pv_status pv_gguf_open(struct pv_gguf *g, const char *path, const struct pv_log *log)
{
    uint64_t n_parts = 1;
    enum pv_status status;
    char *part_path;

    PV_TRY(pv_gguf_open_one(g, path, log));
    if (!pv_gguf_u64(g, "split.count", &n_parts) || n_parts <= 1)
        return PV_OK;
    if (n_parts > MAX_PARTS || !is_part_name(path, (uint32_t)n_parts)) {
        pv_gguf_close(g);
        return pv_fail(
            log, PV_ERR_FORMAT,
            "%s: is one of %llu parts, but not named NAME-00001-of-%05llu.gguf: give the parts their names "
            "back",
            path, (unsigned long long)n_parts, (unsigned long long)n_parts);
    }
    pv_gguf_close(g); /* whichever part was named, reading starts with the first */
    part_path = pv_strndup(path, strlen(path));
    if (!part_path)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to read it", path);
    status = check_parts(part_path, (uint32_t)n_parts, log);
    if (status == PV_OK) {
        name_part(part_path, 1, (uint32_t)n_parts);
        status = pv_gguf_open_one(g, part_path, log);
    }
    if (status == PV_OK)
        status = open_parts(g, part_path, (uint32_t)n_parts, log);
    if (status != PV_OK)
        pv_gguf_close(g);
    free(part_path);
    return status;
}

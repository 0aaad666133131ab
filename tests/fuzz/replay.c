/* Runs a fuzz target over files and over folders of files, without libFuzzer. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/file.h"
#include "fuzz.h"

static int run_file(const char *path)
{
    size_t size_bytes;
    char *data;

    if (pv_file_read(path, NULL, &data, &size_bytes) != PV_OK) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size_bytes);
    free(data);
    return 1;
}

/* Number of inputs run, or -1. */
static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (!dir) {
        fprintf(stderr, "%s: cannot be opened\n", folder);
        return -1;
    }
    while (n >= 0 && (entry = readdir(dir))) {
        char path[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        n = run_file(path) < 0 ? -1 : n + 1;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int n_all = 0;

    for (int i = 1; i < argc; i++) {
        struct stat info;
        const bool is_folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);
        const int n = is_folder ? run_folder(argv[i]) : run_file(argv[i]);

        if (n < 0)
            return EXIT_FAILURE;
        n_all += n;
    }
    printf("%d inputs\n", n_all);
    return n_all > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

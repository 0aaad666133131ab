/* thoughts show|hide|dim N [within]: stdin through the filter of `parvin chat`, in pieces of N bytes. */
#include "chat/thoughts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char piece[256];
    size_t n;

    if (argc < 3)
        return 2;
    const long step = strtol(argv[2], NULL, 10);
    if (step < 1 || step > (long)sizeof piece)
        return 2;
    struct thoughts thoughts = {.mode = !strcmp(argv[1], "hide")  ? THOUGHTS_HIDE
                                        : !strcmp(argv[1], "dim") ? THOUGHTS_DIM
                                                                  : THOUGHTS_SHOW,
                                .within = argc > 3 && !strcmp(argv[3], "within")};
    while ((n = fread(piece, 1, (size_t)step, stdin)) > 0)
        thoughts_print(&thoughts, piece, n);
    thoughts_end(&thoughts);
    return 0;
}

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PV_SHARED_DIR
#define PV_SHARED_DIR "../shared"
#endif
#ifndef PV_SOURCE_DIR
#define PV_SOURCE_DIR "."
#endif

int pv_test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int pv_test_skip(const char *why)
{
    const char *required = getenv("PV_REQUIRE_GPU");
    bool forbidden = required != NULL && strcmp(required, "1") == 0;

    printf("%s: %s\n", forbidden ? "failed instead of skipped (PV_REQUIRE_GPU=1)" : "skipped", why);
    return forbidden ? EXIT_FAILURE : PV_TEST_SKIPPED;
}

static bool find_file(const char *folder, const char *name, char path[PV_TEST_PATH_ROOM])
{
    int n = snprintf(path, PV_TEST_PATH_ROOM, "%s/%s", folder, name);

    return n > 0 && n < PV_TEST_PATH_ROOM && access(path, R_OK) == 0;
}

bool pv_test_shared(const char *name, char path[PV_TEST_PATH_ROOM])
{
    const char *folder = getenv("PV_SHARED");

    return find_file(folder != NULL ? folder : PV_SHARED_DIR, name, path);
}

bool pv_test_source(const char *name, char path[PV_TEST_PATH_ROOM])
{
    return find_file(PV_SOURCE_DIR, name, path);
}

void pv_test_temp(const char *name, char path[PV_TEST_PATH_ROOM])
{
    snprintf(path, PV_TEST_PATH_ROOM, "test-%ld-%s", (long)getpid(), name);
}

static void keep_message(void *user, enum pv_log_level level, const char *message)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct pv_test_log *captured = user;
    size_t used = strlen(captured->text);

    snprintf(captured->text + used, sizeof(captured->text) - used, "%s: %s\n", names[level], message);
    captured->n_messages++;
}

struct pv_log pv_test_log(struct pv_test_log *captured)
{
    memset(captured, 0, sizeof(*captured));
    return (struct pv_log){.fn = keep_message, .user = captured, .max_level = PV_LOG_INFO};
}

bool pv_test_logged(const struct pv_test_log *captured, const char *part)
{
    return strstr(captured->text, part) != NULL;
}

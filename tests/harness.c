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

/* AddressSanitizer looks for leaks when the drivers have been unloaded, and can then neither name what leaks
 * nor see what their own variables still hold. So here nothing is unloaded. What that showed:
 * - lavapipe "leaks" 128 bytes for each time it is loaded, from its one-time detection of the CPU (a mask of
 * 1024 CPUs, util/u_cpu_detect.c of Mesa 22.3.6), held by a variable of the driver. A program that does no
 * more than make an instance and list its devices has that leak too.
 * - The validation layer of 1.3.239 never frees what synchronization validation keeps of a command buffer (a
 * cycle of shared pointers); it is named below. Vulkan objects that Parvin forgets are its messages, which
 * fail.
 * - fontconfig keeps patterns until the process ends. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER
#endif
#ifdef ADDRESS_SANITIZER
int dlclose(void *handle);
int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libVkLayer_khronos_validation\nleak:libfontconfig\n";
}
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
    const bool forbidden = required && strcmp(required, "1") == 0;

    printf("%s: %s\n", forbidden ? "failed instead of skipped (PV_REQUIRE_GPU=1)" : "skipped", why);
    return forbidden ? EXIT_FAILURE : PV_TEST_SKIPPED;
}

static bool find_file(const char *folder, const char *name, char path[PV_TEST_PATH_ROOM])
{
    const int n = snprintf(path, PV_TEST_PATH_ROOM, "%s/%s", folder, name);

    return n > 0 && n < PV_TEST_PATH_ROOM && access(path, R_OK) == 0;
}

bool pv_test_shared(const char *name, char path[PV_TEST_PATH_ROOM])
{
    const char *folder = getenv("PV_SHARED");

    return find_file(folder ? folder : PV_SHARED_DIR, name, path);
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
    const size_t used = strlen(captured->text);

    snprintf(captured->text + used, sizeof captured->text - used, "%s: %s\n", names[level], message);
    captured->n_messages++;
}

struct pv_log pv_test_log(struct pv_test_log *captured)
{
    memset(captured, 0, sizeof *captured);
    return (struct pv_log){.fn = keep_message, .user = captured, .max_level = PV_LOG_INFO};
}

bool pv_test_logged(const struct pv_test_log *captured, const char *part)
{
    return strstr(captured->text, part) != NULL;
}

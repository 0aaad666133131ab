/* What every test suite shares: running a suite, finding data, capturing the log.
 *
 * A suite is one program: it builds a Check suite and returns pv_test_main(suite). Suites that use a GPU run
 * in one process: CTest sets CK_FORK=no for them (see CMakeLists.txt), and so must you when running them by
 * hand. */
#ifndef PV_TESTS_HARNESS_H
#define PV_TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

enum { PV_TEST_SKIPPED = 77, PV_TEST_PATH_ROOM = 1024 };

/* Runs the suite (and frees it); prints Check's summary and failures. Returns main's exit status. Check reads
 * CK_FORK (no: one process), CK_RUN_CASE and CK_VERBOSITY. */
int pv_test_main(Suite *suite);
/* For a suite that cannot run here: says why and returns 77, or 1 where PV_REQUIRE_GPU=1 forbids skipping. */
int pv_test_skip(const char *why);

/* Path of a file in the optional folder of larger test data: PV_SHARED in the environment, else where CMake
 * found it. False if there is no such file: then do not register the test. */
bool pv_test_shared(const char *name, char path[PV_TEST_PATH_ROOM]);
/* Path of a file in the repository. */
bool pv_test_source(const char *name, char path[PV_TEST_PATH_ROOM]);
/* Path for a temporary file of this process, in the working folder; remove it with remove(). */
void pv_test_temp(const char *name, char path[PV_TEST_PATH_ROOM]);

/* A log that keeps its messages, a line each: "error: text". */
struct pv_test_log {
    char text[8192];
    size_t n_messages;
};
/* All levels up to info. */
struct pv_log pv_test_log(struct pv_test_log *captured);
/* Whether a message contains `part`. */
bool pv_test_logged(const struct pv_test_log *captured, const char *part);

#endif

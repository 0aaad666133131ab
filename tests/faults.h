/* Making one driver call fail: the n-th of all fallible calls on all devices that are opened while the hooks
 * are in. */
#ifndef PV_TESTS_FAULTS_H
#define PV_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

void pv_faults_install(void); /* with an instance; devices opened from now on have hooked tables */
void pv_faults_remove(void);
/* The call number `call` from now on (0: the next) returns `result` (a VkResult) and is not made; -1: none.
 */
void pv_faults_arm(long call, int32_t result);
void pv_faults_watch(void (*fn)(const char *name)); /* told of every call; NULL: nobody */
bool pv_faults_fired(void);
const char *pv_faults_which(void); /* the function that failed */
long pv_faults_n_calls(void);      /* since it was armed */

#endif

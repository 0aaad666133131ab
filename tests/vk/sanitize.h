/* The validation layer of 1.3.239 never frees what synchronization validation keeps of a command buffer (a
 * cycle of shared pointers), and is unloaded before leaks are looked for, so it cannot be named. But it is
 * C++ and Parvin is C: under AddressSanitizer, leaks that come from operator new are not ours. Include once a
 * program. */
#ifndef PV_TESTS_VK_SANITIZE_H
#define PV_TESTS_VK_SANITIZE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PV_TESTS_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define PV_TESTS_ADDRESS_SANITIZER
#endif

#ifdef PV_TESTS_ADDRESS_SANITIZER
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:operator new\n";
}
#endif

#endif

/* The one translation unit that holds volk's function pointers and loader. */
#define VOLK_IMPLEMENTATION
#include <volk.h>

/* The library's own writer of tiny models. */
#include "format/tiny_model.h"

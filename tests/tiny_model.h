/* The library's own writer of tiny models. */
#include "format/model/tiny_model.h"

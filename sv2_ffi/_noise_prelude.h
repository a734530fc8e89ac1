#include "_noise_glue.h"

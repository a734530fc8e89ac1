#include "_glue.h"
#include "libsv2.h"
#include "sv2.h"

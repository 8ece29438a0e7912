#include "base/wipe.h"

#include <string.h>

void wipe(void *p, size_t len)
{
    if (len)
        explicit_bzero(p, len);
}

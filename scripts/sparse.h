/*
 * What the kernel's headers use and the sparse of Debian 12 does not know, or
 * gets wrong. gcc has a look at the assertions, too.
 */
#define __typeof_unqual__ __typeof__
#define _Static_assert(...)

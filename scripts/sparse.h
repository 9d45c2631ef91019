/* What the kernel's headers use and the sparse of Debian 12 does not know. */
#define __typeof_unqual__ __typeof__
#define __builtin_strlen(string) (sizeof(string) - 1)

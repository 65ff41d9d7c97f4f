/* Ends one program as a power cut would: preloaded, it counts the calls that make something durable or move a name
   (fsync, fdatasync, rename, link, unlink) and ends the program in the place of the one whose number is in $CUT_OFF.
   What the kernel has in memory stays, unlike in a power cut: the order of the calls is what is tried. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static void step(void) {
    static atomic_int calls;
    const char *at = getenv("CUT_OFF");
    if (at && atomic_fetch_add(&calls, 1) + 1 == atoi(at))
        _exit(137);
}

#define WATCHED(name, params, args)                                                                                    \
    int name params {                                                                                                  \
        static int(*real) params;                                                                                      \
        step();                                                                                                        \
        if (!real)                                                                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                 \
        return real args;                                                                                              \
    }

WATCHED(fsync, (int file), (file))
WATCHED(fdatasync, (int file), (file))
WATCHED(rename, (const char *from, const char *to), (from, to))
WATCHED(link, (const char *from, const char *to), (from, to))
WATCHED(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WATCHED(unlink, (const char *path), (path))

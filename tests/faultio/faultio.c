/*
 * faultio: makes the disk fail, or the power, at a chosen call of a program that is not changed for it.
 *
 * Loaded with LD_PRELOAD. It sees the calls of the whole process that change what is on a disk, below the places it is
 * told of, gives each a number, and at chosen numbers does something else than what was asked. Only calls that go
 * through the C library are seen. Build: cc -O2 -fPIC -shared -o faultio.so faultio.c -ldl -pthread
 *
 * FAULTIO="under=/a,/b [op=write,fsync] [path=TEXT] [nth=K|K+|K%S] [act=ACT] [cut=/a,/b]"
 *     Rules, up to 8, between them a semicolon; each has a counter of its own, and the first that strikes decides.
 *     under    absolute places whose calls are counted. Without it, or with `under=/`: all
 *     op       the kinds counted: open (one that may make or empty a file), write, truncate, fsync, rename, link,
 *              unlink, mkdir, chmod, read. Without it: all but chmod and read
 *     path     only paths, or targets of a rename or link, that hold this text
 *     not      no paths that end with this text
 *     nth      K: the Kth call; K+: that and all after it; K%S: the Kth, and each Sth after it. Without it: none
 *     act      an errno by name (EIO, ENOSPC, EROFS, EMFILE, EINTR, EXDEV, EDQUOT, EACCES, EPERM, EINVAL, ENOMEM);
 *              SHORT     a write takes half of its bytes, at least one; other calls go on as they are
 *              LIE       nothing is done and success is reported
 *              KILL      the process dies, as by kill -9, instead of the call
 *              KILLAFTER the process dies after the call
 *              CUT       power is lost instead of the call: the file systems mounted at `cut` are shut down without
 *                        their log being written, and the process dies
 *              CUTAFTER  power is lost after the call
 *     cut      mount points of ext4 or xfs, for CUT and CUTAFTER
 *
 * FAULTIO_TRACE=FILE
 *     One line for each call that any rule counts, appended once the call is over:
 *         NUMBER OP PATH [-> TARGET] = RESULT [ERRNO] [!ACT]
 *     NUMBER is that of the first rule that counts the call. A line that ends with !KILL or !CUT stands before the end.
 *     Without rules nothing is counted; `FAULTIO=under=/` traces all and changes nothing.
 *
 * FAULTIO_CLOCK=FILE
 *     Seconds, as text, maybe negative or with a fraction, by which the wall clock is ahead. The file is read again at
 *     each call, so that the clock can be made to jump; the monotonic clocks stay as they are.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The same number on ext4 (EXT4_IOC_SHUTDOWN) and xfs (XFS_IOC_GOINGDOWN); 2 drops the log. */
#define SHUTDOWN _IOR('X', 125, unsigned int)
#define NO_LOG_FLUSH 2u

enum op { OPEN, WRITE, TRUNCATE, FSYNC, RENAME, LINK, UNLINK, MKDIR, CHMOD, READ, OPS };
static const char *const op_names[OPS] = {"open", "write", "truncate", "fsync",
                                             "rename", "link", "unlink", "mkdir", "chmod", "read"};

enum act { NONE, ERROR, SHORT, LIE, KILL, KILLAFTER, CUT, CUTAFTER };
static const char *const act_names[] = {"", "", "SHORT", "LIE", "KILL", "KILLAFTER", "CUT", "CUTAFTER"};

static const struct { const char *name; int number; } errnos[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EMFILE", EMFILE}, {"EINTR", EINTR}, {"EXDEV", EXDEV},
    {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EPERM", EPERM}, {"EINVAL", EINVAL}, {"ENOMEM", ENOMEM},
};

#define MOST_RULES 8
#define MOST_PLACES 4

struct rule {
    char *under[MOST_PLACES], *cut[MOST_PLACES];
    char *path, *not;
    unsigned ops;
    unsigned long nth, step; /* step 0: once */
    enum act act;
    int error;
    atomic_ulong count;
};

static struct rule rules[MOST_RULES];
static int rule_count;
static int trace = -1;
static const char *clock_file;
/* Power is gone: no thread gets any further. */
static atomic_int dark;

static void fail(const char *what, const char *text) {
    fprintf(stderr, "faultio: %s: %s\n", what, text);
    abort();
}

#define REAL(name) ({ \
    static __typeof__(&name) found; \
    if (!found) found = (__typeof__(&name))real(#name); \
    found; \
})
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) fail("not in the C library", name);
    return found;
}

/* Past our own syscall() below. */
#define RAW(...) REAL(syscall)(__VA_ARGS__)

static void split(char *text, char **places) {
    char *rest = NULL;
    int count = 0;
    for (char *place = strtok_r(text, ",", &rest); place; place = strtok_r(NULL, ",", &rest)) {
        if (count == MOST_PLACES) fail("too many places", place);
        places[count++] = place;
    }
}

static unsigned parse_ops(char *text) {
    char *rest = NULL;
    unsigned ops = 0;
    for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        int op = 0;
        while (op < OPS && strcmp(name, op_names[op])) op++;
        if (op == OPS) fail("no such op", name);
        ops |= 1u << op;
    }
    return ops;
}

static void parse_act(struct rule *rule, const char *text) {
    for (int act = SHORT; act <= CUTAFTER; act++) {
        if (!strcmp(text, act_names[act])) {
            rule->act = (enum act)act;
            return;
        }
    }
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        if (!strcmp(text, errnos[i].name)) {
            rule->act = ERROR;
            rule->error = errnos[i].number;
            return;
        }
    }
    fail("no such act", text);
}

static void parse_rule(struct rule *rule, char *text) {
    char *rest = NULL;
    rule->ops = ((1u << OPS) - 1) & ~(1u << CHMOD | 1u << READ);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        if (!value) fail("not name=value", word);
        *value++ = 0;
        if (!strcmp(word, "under")) split(value, rule->under);
        else if (!strcmp(word, "cut")) split(value, rule->cut);
        else if (!strcmp(word, "op")) rule->ops = parse_ops(value);
        else if (!strcmp(word, "path")) rule->path = value;
        else if (!strcmp(word, "not")) rule->not = value;
        else if (!strcmp(word, "act")) parse_act(rule, value);
        else if (!strcmp(word, "nth")) {
            char *end;
            rule->nth = strtoul(value, &end, 10);
            rule->step = *end == '+' ? 1 : *end == '%' ? strtoul(end + 1, NULL, 10) : 0;
        } else fail("no such word", word);
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("FAULTIO"), *file = getenv("FAULTIO_TRACE");
    clock_file = getenv("FAULTIO_CLOCK");
    if (text) {
        char *rest = NULL;
        for (char *one = strtok_r(strdup(text), ";", &rest); one; one = strtok_r(NULL, ";", &rest)) {
            if (rule_count == MOST_RULES) fail("too many rules", one);
            parse_rule(&rules[rule_count++], one);
        }
    }
    if (file) {
        trace = (int)RAW(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (trace < 0) fail("cannot trace to", file);
    }
}

/* One call that changes a disk. */
struct call {
    enum op op;
    char path[PATH_MAX], target[PATH_MAX];
    unsigned long number;
    struct rule *struck;
};

static void path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = RAW(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_at(int fd, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    if (fd == AT_FDCWD) {
        if (RAW(SYS_getcwd, path, PATH_MAX) < 0) path[0] = 0;
    } else {
        path_of_fd(fd, path);
    }
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static int lies_under(const char *path, char *const *places) {
    if (!places[0]) return path[0] == '/';
    for (int i = 0; i < MOST_PLACES && places[i]; i++) {
        size_t length = strlen(places[i]);
        if (!strncmp(path, places[i], length) && (length == 1 || path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

static int counts(const struct rule *rule, const struct call *call) {
    const char *last = call->target[0] ? call->target : call->path;
    return rule->ops >> call->op & 1
        && (lies_under(call->path, rule->under) || (call->target[0] && lies_under(call->target, rule->under)))
        && (!rule->path || strstr(call->path, rule->path) || strstr(call->target, rule->path))
        && (!rule->not || !ends_with(last, rule->not));
}

static int strikes(const struct rule *rule, unsigned long number) {
    if (!rule->nth || number < rule->nth) return 0;
    return number == rule->nth || (rule->step && (number - rule->nth) % rule->step == 0);
}

static void tell(const struct call *call, long result, int error) {
    if (trace < 0 || !call->number) return;
    char line[2 * PATH_MAX + 128];
    const char *name = "";
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        if (result < 0 && error == errnos[i].number) name = errnos[i].name;
    }
    if (result < 0 && error == EEXIST) name = "EEXIST";
    if (result < 0 && error == ENOENT) name = "ENOENT";
    int length = snprintf(line, sizeof line, "%lu %s %s%s%s = %ld%s%s", call->number, op_names[call->op], call->path,
        call->target[0] ? " -> " : "", call->target, result, name[0] ? " " : "", name);
    if (call->struck) {
        const char *act = call->struck->act == ERROR ? name : act_names[call->struck->act];
        length += snprintf(line + length, sizeof line - (size_t)length, " !%s", act);
    }
    line[length++] = '\n';
    RAW(SYS_write, trace, line, (size_t)length);
}

static void die(const struct rule *rule, int cut) {
    atomic_store(&dark, 1);
    for (int i = 0; cut && i < MOST_PLACES && rule->cut[i]; i++) {
        unsigned int flags = NO_LOG_FLUSH;
        long fd = RAW(SYS_openat, AT_FDCWD, rule->cut[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || RAW(SYS_ioctl, fd, SHUTDOWN, &flags) < 0) fail("cannot cut the power of", rule->cut[i]);
    }
    RAW(SYS_kill, RAW(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Counts the call; what strikes at once does not come back. */
static enum act enter(struct call *call) {
    call->number = 0;
    call->struck = NULL;
    for (int i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (!counts(rule, call)) continue;
        while (atomic_load(&dark)) pause();
        unsigned long number = atomic_fetch_add(&rule->count, 1) + 1;
        if (!call->number) call->number = number;
        if (!call->struck && strikes(rule, number)) {
            call->number = number;
            call->struck = rule;
        }
    }
    if (!call->struck) return NONE;
    if (call->struck->act == KILL || call->struck->act == CUT) {
        tell(call, 0, 0);
        die(call->struck, call->struck->act == CUT);
    }
    return call->struck->act;
}

static void leave(struct call *call, long result, int error) {
    tell(call, result, error);
    if (call->struck && (call->struck->act == KILLAFTER || call->struck->act == CUTAFTER)) {
        die(call->struck, call->struck->act == CUTAFTER);
    }
    if (call->number) while (atomic_load(&dark)) pause();
    errno = error;
}

/* Does the call, or what the rules say instead of it. `lie` is what success returns. */
#define DO(call, lie, real_call) \
    do { \
        long result; \
        int error = errno; \
        enum act act = enter(call); \
        if (act == ERROR) { result = -1; error = (call)->struck->error; } \
        else if (act == LIE) { result = (long)(lie); } \
        else { result = (long)(real_call); if (result < 0) error = errno; } \
        leave(call, result, error); \
        return (__typeof__(real_call))result; \
    } while (0)

#define ON_FD(fd, kind) struct call call = {.op = kind}; path_of_fd(fd, call.path)
#define AT(fd, name, kind) struct call call = {.op = kind}; path_at(fd, name, call.path)
#define AT2(from, name, to, new_name, kind) AT(from, name, kind); path_at(to, new_name, call.target)

/* --- writing --- */

static size_t taken(const struct call *call, size_t count) {
    return call->struck && call->struck->act == SHORT && count > 1 ? count / 2 : count;
}

ssize_t read(int fd, void *bytes, size_t count) {
    ON_FD(fd, READ);
    DO(&call, count, REAL(read)(fd, bytes, count));
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ON_FD(fd, WRITE);
    DO(&call, count, REAL(write)(fd, bytes, taken(&call, count)));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    ON_FD(fd, WRITE);
    DO(&call, count, REAL(pwrite)(fd, bytes, taken(&call, count), at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    ON_FD(fd, WRITE);
    DO(&call, count, REAL(pwrite64)(fd, bytes, taken(&call, count), at));
}

static size_t total(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    return bytes;
}

/* Short: only the first part, and of a single part half of it. */
static struct iovec first(const struct iovec *parts, int count) {
    struct iovec part = parts[0];
    if (count == 1 && part.iov_len > 1) part.iov_len /= 2;
    return part;
}

#define VECTORED(call, parts, count, name, ...) \
    struct iovec half = count > 0 ? first(parts, count) : (struct iovec){0}; \
    DO(call, total(parts, count), (call)->struck && (call)->struck->act == SHORT && count > 0 \
        ? REAL(name)(fd, &half, 1 __VA_ARGS__) : REAL(name)(fd, parts, count __VA_ARGS__))

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ON_FD(fd, WRITE);
    VECTORED(&call, parts, count, writev);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    ON_FD(fd, WRITE);
    VECTORED(&call, parts, count, pwritev, , at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    ON_FD(fd, WRITE);
    VECTORED(&call, parts, count, pwritev64, , at);
}

int ftruncate(int fd, off_t length) { ON_FD(fd, TRUNCATE); DO(&call, 0, REAL(ftruncate)(fd, length)); }
int ftruncate64(int fd, off64_t length) { ON_FD(fd, TRUNCATE); DO(&call, 0, REAL(ftruncate64)(fd, length)); }
int fallocate(int fd, int mode, off_t at, off_t length) {
    ON_FD(fd, TRUNCATE);
    DO(&call, 0, REAL(fallocate)(fd, mode, at, length));
}
int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    ON_FD(fd, TRUNCATE);
    DO(&call, 0, REAL(fallocate64)(fd, mode, at, length));
}

/* --- syncing --- */

int fsync(int fd) { ON_FD(fd, FSYNC); DO(&call, 0, REAL(fsync)(fd)); }
int fdatasync(int fd) { ON_FD(fd, FSYNC); DO(&call, 0, REAL(fdatasync)(fd)); }
int syncfs(int fd) { ON_FD(fd, FSYNC); DO(&call, 0, REAL(syncfs)(fd)); }
int sync_file_range(int fd, off64_t at, off64_t length, unsigned int flags) {
    ON_FD(fd, FSYNC);
    DO(&call, 0, REAL(sync_file_range)(fd, at, length, flags));
}

/* --- names --- */

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC))

int open(const char *name, int flags, ...) {
    MODE(flags, flags);
    if (!CHANGES(flags)) return REAL(open)(name, flags, mode);
    AT(AT_FDCWD, name, OPEN);
    DO(&call, -1, REAL(open)(name, flags, mode));
}

int open64(const char *name, int flags, ...) {
    MODE(flags, flags);
    if (!CHANGES(flags)) return REAL(open64)(name, flags, mode);
    AT(AT_FDCWD, name, OPEN);
    DO(&call, -1, REAL(open64)(name, flags, mode));
}

int openat(int fd, const char *name, int flags, ...) {
    MODE(flags, flags);
    if (!CHANGES(flags)) return REAL(openat)(fd, name, flags, mode);
    AT(fd, name, OPEN);
    DO(&call, -1, REAL(openat)(fd, name, flags, mode));
}

int openat64(int fd, const char *name, int flags, ...) {
    MODE(flags, flags);
    if (!CHANGES(flags)) return REAL(openat64)(fd, name, flags, mode);
    AT(fd, name, OPEN);
    DO(&call, -1, REAL(openat64)(fd, name, flags, mode));
}

int mkdir(const char *name, mode_t mode) { AT(AT_FDCWD, name, MKDIR); DO(&call, 0, REAL(mkdir)(name, mode)); }
int mkdirat(int fd, const char *name, mode_t mode) { AT(fd, name, MKDIR); DO(&call, 0, REAL(mkdirat)(fd, name, mode)); }

int unlink(const char *name) { AT(AT_FDCWD, name, UNLINK); DO(&call, 0, REAL(unlink)(name)); }
int rmdir(const char *name) { AT(AT_FDCWD, name, UNLINK); DO(&call, 0, REAL(rmdir)(name)); }
int unlinkat(int fd, const char *name, int flags) { AT(fd, name, UNLINK); DO(&call, 0, REAL(unlinkat)(fd, name, flags)); }

int rename(const char *name, const char *new_name) {
    AT2(AT_FDCWD, name, AT_FDCWD, new_name, RENAME);
    DO(&call, 0, REAL(rename)(name, new_name));
}

int renameat(int from, const char *name, int to, const char *new_name) {
    AT2(from, name, to, new_name, RENAME);
    DO(&call, 0, REAL(renameat)(from, name, to, new_name));
}

int renameat2(int from, const char *name, int to, const char *new_name, unsigned int flags) {
    AT2(from, name, to, new_name, RENAME);
    DO(&call, 0, REAL(renameat2)(from, name, to, new_name, flags));
}

int link(const char *name, const char *new_name) {
    AT2(AT_FDCWD, name, AT_FDCWD, new_name, LINK);
    DO(&call, 0, REAL(link)(name, new_name));
}

int linkat(int from, const char *name, int to, const char *new_name, int flags) {
    AT2(from, name, to, new_name, LINK);
    DO(&call, 0, REAL(linkat)(from, name, to, new_name, flags));
}

int symlink(const char *content, const char *name) { AT(AT_FDCWD, name, LINK); DO(&call, 0, REAL(symlink)(content, name)); }
int symlinkat(const char *content, int fd, const char *name) {
    AT(fd, name, LINK);
    DO(&call, 0, REAL(symlinkat)(content, fd, name));
}

int chmod(const char *name, mode_t mode) { AT(AT_FDCWD, name, CHMOD); DO(&call, 0, REAL(chmod)(name, mode)); }
int fchmod(int fd, mode_t mode) { ON_FD(fd, CHMOD); DO(&call, 0, REAL(fchmod)(fd, mode)); }
int fchmodat(int fd, const char *name, mode_t mode, int flags) {
    AT(fd, name, CHMOD);
    DO(&call, 0, REAL(fchmodat)(fd, name, mode, flags));
}

/* Some programs make this call so, to go around what the C library does for it. */
long syscall(long number, ...) {
    va_list more;
    long a[6];
    va_start(more, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(more, long);
    va_end(more);
    if (number != SYS_fchmod) return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    ON_FD((int)a[0], CHMOD);
    DO(&call, 0, RAW(number, a[0], a[1]));
}

/* --- the wall clock --- */

static long long ahead_nanoseconds(void) {
    char text[64];
    if (!clock_file) return 0;
    long fd = RAW(SYS_openat, AT_FDCWD, clock_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    long length = RAW(SYS_read, fd, text, sizeof text - 1);
    RAW(SYS_close, fd);
    text[length < 0 ? 0 : length] = 0;
    return (long long)(strtod(text, NULL) * 1e9);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = REAL(clock_gettime)(clock, time);
    long long ahead = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? ahead_nanoseconds() : 0;
    if (result == 0 && ahead) {
        long long nanoseconds = time->tv_nsec + ahead % 1000000000;
        time->tv_sec += ahead / 1000000000 + (nanoseconds >= 1000000000) - (nanoseconds < 0);
        time->tv_nsec = nanoseconds + (nanoseconds < 0 ? 1000000000 : nanoseconds >= 1000000000 ? -1000000000 : 0);
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    if (result == 0) *now = (struct timeval){.tv_sec = time.tv_sec, .tv_usec = time.tv_nsec / 1000};
    return result;
}

time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}

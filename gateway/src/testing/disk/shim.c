/*
 * A disk that remembers and fails, for tests: preloaded into a process, it writes down every change that the process makes
 * below one folder (writes, truncates, creations, renames, removals, syncs with their beginning and end), and spoils the
 * operations it is told to. The trace is what a power cut is replayed from; trace.ts reads it.
 *
 *   DISK_SHIM_DIR     the folder; absolute, without links
 *   DISK_SHIM_TRACE   where the trace goes; left out, nothing is written down
 *   DISK_SHIM_DELAY   milliseconds that each sync takes longer from the start on
 *   DISK_SHIM_NO_SYNC set: syncs are written down but not done, which is quicker
 *
 * Commands are lines written to a file named `disk-shim-control` below the folder:
 *   mark TEXT                    a mark in the trace
 *   fault KIND FROM COUNT        operations FROM .. FROM+COUNT-1 of that kind from now on fail (1 is the next one);
 *                                KIND: enospc, eio, erofs, short (writes), eiosync (syncs)
 *   fault off
 *   delay MS                     each sync takes so much longer
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, MARK, FAULT };
enum { NONE, ENOSPC_FAULT, EIO_FAULT, EROFS_FAULT, SHORT_FAULT, EIO_SYNC_FAULT };

#define MAX_FD 4096
static struct { int kind; uint32_t opening; } table[MAX_FD]; /* kind: 0 foreign, 1 file, 2 folder, 3 control */
static char folder[PATH_MAX];
static size_t folder_length;
static int trace = -1, no_sync;
static uint32_t openings, syncs;
static long delay_ms;
static int fault_kind;
static long fault_from, fault_count, operation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...)                                  \
  static result (*real)(__VA_ARGS__);                            \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("DISK_SHIM_DIR"), *path = getenv("DISK_SHIM_TRACE");
  if (!dir) return;
  snprintf(folder, sizeof folder, "%s/", dir);
  folder_length = strlen(folder);
  no_sync = getenv("DISK_SHIM_NO_SYNC") != NULL;
  if (getenv("DISK_SHIM_DELAY")) delay_ms = atol(getenv("DISK_SHIM_DELAY"));
  if (path) trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t done = syscall(SYS_write, trace, at, length);
    if (done <= 0) abort();
    at += done;
    length -= (size_t)done;
  }
}

/* One record: kind, opening or sync number, position, length of what follows, what follows. The lock is held. */
static void record(uint8_t kind, uint32_t number, uint64_t position, const void *bytes, uint32_t length) {
  if (trace < 0) return;
  unsigned char head[17];
  head[0] = kind;
  memcpy(head + 1, &number, 4);
  memcpy(head + 5, &position, 8);
  memcpy(head + 13, &length, 4);
  put(head, sizeof head);
  if (length) put(bytes, length);
}

/* The path below the folder, or NULL; "" is the folder itself. */
static const char *below(const char *path) {
  if (!folder_length || !path) return NULL;
  if (strncmp(path, folder, folder_length) == 0) return path + folder_length;
  if (strlen(path) == folder_length - 1 && strncmp(path, folder, folder_length - 1) == 0) return "";
  return NULL;
}

static int is_shared_memory(const char *name) {
  size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, "-shm") == 0;
}

/* Whether this operation is to fail, with errno set. The lock is held. */
static int spoiled(int is_sync) {
  if (fault_kind == NONE || (fault_kind == EIO_SYNC_FAULT) != is_sync) return 0;
  operation += 1;
  if (operation < fault_from || operation >= fault_from + fault_count) return 0;
  record(FAULT, 0, (uint64_t)operation, NULL, 0);
  errno = fault_kind == ENOSPC_FAULT ? ENOSPC : fault_kind == EROFS_FAULT ? EROFS : EIO;
  return 1;
}

static void command(char *line) {
  char kind[32];
  long from, count;
  if (strncmp(line, "mark ", 5) == 0) record(MARK, 0, 0, line + 5, (uint32_t)strlen(line + 5));
  else if (sscanf(line, "delay %ld", &count) == 1) delay_ms = count;
  else if (strncmp(line, "fault off", 9) == 0) fault_kind = NONE;
  else if (sscanf(line, "fault %31s %ld %ld", kind, &from, &count) == 3) {
    static const char *const names[] = {"", "enospc", "eio", "erofs", "short", "eiosync"};
    for (int i = 1; i <= EIO_SYNC_FAULT; i += 1)
      if (strcmp(kind, names[i]) == 0) fault_kind = i;
    fault_from = from;
    fault_count = count;
    operation = 0;
  }
}

static void commands(const char *text, size_t length) {
  char line[512];
  size_t used = 0;
  for (size_t i = 0; i < length; i += 1) {
    if (text[i] != '\n' && used < sizeof line - 1) line[used++] = text[i];
    if (text[i] == '\n') {
      line[used] = 0;
      command(line);
      used = 0;
    }
  }
}

static int kind_of(int fd) { return fd >= 0 && fd < MAX_FD ? table[fd].kind : 0; }

static int opened(const char *path, int flags, mode_t mode) {
  const char *name = below(path);
  if (!name || is_shared_memory(name)) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  pthread_mutex_lock(&lock);
  int created = 0, fd = -1;
  if ((flags & O_CREAT) && access(path, F_OK) != 0) created = 1;
  if (fault_kind == EROFS_FAULT && operation + 1 >= fault_from && operation + 1 < fault_from + fault_count &&
      (created || (flags & O_ACCMODE) != O_RDONLY)) {
    errno = EROFS;
  } else fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  int saved = errno;
  if (fd >= 0 && fd < MAX_FD) {
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    table[fd].opening = ++openings;
    struct stat about;
    int is_folder = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    table[fd].kind = strcmp(base, "disk-shim-control") == 0 ? 3 : is_folder ? 2 : 1;
    if (table[fd].kind < 3) {
      /* Position: 1 the file was made, 2 it was emptied, 4 it is a folder. */
      uint64_t how = (created ? 1 : 0) | ((flags & O_TRUNC) ? 2 : 0) | (table[fd].kind == 2 ? 4 : 0);
      record(OPEN, table[fd].opening, how, name, (uint32_t)strlen(name));
    }
  }
  pthread_mutex_unlock(&lock);
  errno = saved;
  return fd;
}

#define OPENER(name)                                   \
  int name(const char *path, int flags, ...) {         \
    va_list rest;                                      \
    va_start(rest, flags);                             \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                      \
    return opened(path, flags, mode);                  \
  }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                        \
  int name(int at, const char *path, int flags, ...) {         \
    va_list rest;                                              \
    va_start(rest, flags);                                     \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                              \
    if (path[0] == '/') return opened(path, flags, mode); \
    return (int)syscall(SYS_openat, at, path, flags, mode);    \
  }
OPENER_AT(openat)
OPENER_AT(openat64)

int close(int fd) {
  REAL(int, close, int);
  if (fd >= 0 && fd < MAX_FD) table[fd].kind = 0;
  return real(fd);
}

/* Writes at a position and remembers what was written; `position` -1 is the descriptor's own. */
static ssize_t wrote(int fd, const void *bytes, size_t length, off_t position) {
  int kind = kind_of(fd);
  if (kind == 3) {
    pthread_mutex_lock(&lock);
    commands(bytes, length);
    pthread_mutex_unlock(&lock);
    return (ssize_t)length;
  }
  if (kind != 1)
    return position < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, position);
  pthread_mutex_lock(&lock);
  ssize_t done = -1;
  int failing = spoiled(0);
  if (failing && fault_kind == SHORT_FAULT && length > 1) length /= 2, failing = 0;
  if (!failing) {
    int flags = fcntl(fd, F_GETFL);
    off_t at = position;
    if (position < 0) at = (flags & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    done = position < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, position);
    if (done > 0) record(WRITE, table[fd].opening, (uint64_t)at, bytes, (uint32_t)done);
  }
  int saved = errno;
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return wrote(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return wrote(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return wrote(fd, bytes, length, at); }

static ssize_t wrote_parts(int fd, const struct iovec *parts, int count, off_t position) {
  ssize_t total = 0;
  for (int i = 0; i < count; i += 1) {
    ssize_t done = wrote(fd, parts[i].iov_base, parts[i].iov_len, position < 0 ? -1 : position + total);
    if (done < 0) return total ? total : done;
    total += done;
    if ((size_t)done < parts[i].iov_len) break;
  }
  return total;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (kind_of(fd) == 0) return syscall(SYS_writev, fd, parts, count);
  return wrote_parts(fd, parts, count, -1);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return wrote_parts(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return wrote_parts(fd, parts, count, at); }

static int truncated(int fd, off_t length) {
  if (kind_of(fd) != 1) return (int)syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&lock);
  int done = -1;
  if (!spoiled(0) || fault_kind == SHORT_FAULT) {
    done = (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0) record(TRUNCATE, table[fd].opening, (uint64_t)length, NULL, 0);
  }
  int saved = errno;
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}
int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

static int synced(int fd, long call) {
  int kind = kind_of(fd);
  if (kind != 1 && kind != 2) return (int)syscall(call, fd);
  pthread_mutex_lock(&lock);
  uint32_t mine = ++syncs, opening = table[fd].opening;
  int failing = spoiled(1);
  long wait_ms = delay_ms;
  record(SYNC_BEGIN, opening, mine, NULL, 0);
  pthread_mutex_unlock(&lock);
  if (wait_ms > 0) {
    struct timespec wait = {wait_ms / 1000, (wait_ms % 1000) * 1000000L};
    nanosleep(&wait, NULL);
  }
  int done = failing ? -1 : no_sync ? 0 : (int)syscall(call, fd);
  int saved = failing ? EIO : errno;
  pthread_mutex_lock(&lock);
  record(done == 0 ? SYNC_END : SYNC_FAILED, opening, mine, NULL, 0);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  const char *old = below(from), *new = below(to);
  if (!old || !new) return real(from, to);
  pthread_mutex_lock(&lock);
  int done = spoiled(0) && fault_kind != SHORT_FAULT ? -1 : real(from, to);
  int saved = errno;
  if (done == 0) {
    char both[2 * PATH_MAX];
    int length = snprintf(both, sizeof both, "%s%c%s", old, 0, new);
    record(RENAME, 0, 0, both, (uint32_t)length);
  }
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}

int unlink(const char *path) {
  REAL(int, unlink, const char *);
  const char *name = below(path);
  if (!name || is_shared_memory(name)) return real(path);
  pthread_mutex_lock(&lock);
  int done = spoiled(0) && fault_kind != SHORT_FAULT ? -1 : real(path);
  int saved = errno;
  if (done == 0) record(UNLINK, 0, 0, name, (uint32_t)strlen(name));
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}

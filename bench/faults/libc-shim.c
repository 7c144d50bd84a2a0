/*
 * Steps the clocks of a child process and makes its look-ups fail. The loader loads this library
 * before libc, and the library maps the file that FAULT_SHIM_FILE names, in which shim.js writes
 * its orders. libuv and Rust read clocks with clock_gettime, V8 with gettimeofday. The library does
 * not shift the timers of the kernel itself: relative timeouts still end on time, and deadlines on
 * the monotonic clock would end too late by the offset.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define NS_PER_US 1000LL
#define POLL_NS 5000000L

enum { NAMES_WORK = 0, NAMES_FAIL = 1, NAMES_HANG = 2 };

struct orders {
  volatile int64_t wall_ns;
  volatile int64_t monotonic_ns;
  volatile int64_t boottime_ns;
  volatile int64_t names;
};

static struct orders none;
static struct orders *orders = &none;

__attribute__((constructor)) static void map_orders(void) {
  const char *path = getenv("FAULT_SHIM_FILE");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *memory = mmap(NULL, sizeof(struct orders), PROT_READ, MAP_SHARED, file, 0);
  if (memory != MAP_FAILED) orders = memory;
  close(file);
}

static int64_t offset_of(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
      return orders->wall_ns;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
      return orders->monotonic_ns;
    case CLOCK_BOOTTIME:
      return orders->boottime_ns;
    default:
      return 0;
  }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (syscall(SYS_clock_gettime, clock, now) != 0) return -1;
  int64_t ns = now->tv_sec * NS_PER_S + now->tv_nsec + offset_of(clock);
  now->tv_sec = ns / NS_PER_S;
  now->tv_nsec = ns % NS_PER_S;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec wall;
  if (clock_gettime(CLOCK_REALTIME, &wall) != 0) return -1;
  now->tv_sec = wall.tv_sec;
  now->tv_usec = wall.tv_nsec / NS_PER_US;
  return 0;
}

time_t time(time_t *seconds) {
  struct timespec wall;
  if (clock_gettime(CLOCK_REALTIME, &wall) != 0) return (time_t)-1;
  if (seconds != NULL) *seconds = wall.tv_sec;
  return wall.tv_sec;
}

/* While look-ups work, reserved names that end in .test (RFC 6761 §6.2) resolve to this machine. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  size_t length = node == NULL ? 0 : strlen(node);
  if (length < 5 || strcmp(node + length - 5, ".test") != 0) {
    return real(node, service, hints, found);
  }
  while (orders->names == NAMES_HANG) {
    struct timespec wait = {0, POLL_NS};
    nanosleep(&wait, NULL);
  }
  if (orders->names == NAMES_FAIL) return EAI_NONAME;
  return real("127.0.0.1", service, hints, found);
}

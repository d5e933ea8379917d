/*
 * Preloaded into a server, it shifts the time of day by the milliseconds that the file $CLOCK_SHIM_FILE holds, a
 * 64-bit integer that may change while the server runs. The monotonic clock stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none = 0;
static volatile int64_t *shift_ms = &none;

__attribute__((constructor)) static void open_shift(void) {
  const char *path = getenv("CLOCK_SHIM_FILE");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) shift_ms = page;
  close(file);
}

static int64_t shifted_ns(void) {
  static int (*real)(clockid_t, struct timespec *);
  struct timespec now;
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  real(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + *shift_ms * 1000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return real(clock, now);
  int64_t ns = shifted_ns();
  now->tv_sec = ns / 1000000000;
  now->tv_nsec = ns % 1000000000;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  int64_t ns = shifted_ns();
  now->tv_sec = ns / 1000000000;
  now->tv_usec = ns / 1000 % 1000000;
  return 0;
}

time_t time(time_t *now) {
  time_t seconds = shifted_ns() / 1000000000;
  if (now) *now = seconds;
  return seconds;
}

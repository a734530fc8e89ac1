/*
 * main() for a harness, for any C compiler.
 *
 *     fuzz_X [-n COUNT | -t SECONDS] [-s SEED] [-m LENGTH] [PATH...]
 *
 * Each PATH is a file (one input), a folder (each file an input), a *.pack (see corpus.py) or - (one
 * input on stdin). They are run once; with -n or -t they are then the seeds of a built-in generator
 * that runs COUNT mutations, or for SECONDS. Without seeds it makes inputs from nothing. They are up
 * to LENGTH bytes long, or 4096. A finding aborts, and the input is left in crash-<harness>-<pid>.
 *
 * Built by afl-clang-fast it is an AFL++ program in persistent mode when run without arguments.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
/* A report ends in SIGABRT, which saves the input. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1:detect_leaks=1";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}
#endif

typedef struct seed {
    uint8_t *data;
    size_t size;
} seed;

static struct {
    seed *seeds;
    size_t count;
    uint64_t executions;
    uint64_t random;
    char finding[256];
} run;

static uint8_t input[FUZZ_MAX_INPUT];
static volatile size_t input_size;

/* ---- Findings ---------------------------------------------------------------------------------*/

static void save_input(int signal_number)
{
    int fd = open(run.finding, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        ssize_t written = write(fd, input, input_size);
        (void)written;
        close(fd);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void watch_signals(const char *program)
{
    const char *name = strrchr(program, '/') != NULL ? strrchr(program, '/') + 1 : program;
    snprintf(run.finding, sizeof(run.finding), "crash-%s-%ld", name, (long)getpid());
    signal(SIGABRT, save_input);
#ifndef SANITIZED
    signal(SIGSEGV, save_input);
    signal(SIGBUS, save_input);
    signal(SIGILL, save_input);
    signal(SIGFPE, save_input);
#endif
}

static void execute(const uint8_t *data, size_t size)
{
    if (data != input)
        memcpy(input, data, size);
    input_size = size;
    LLVMFuzzerTestOneInput(input, size);
    run.executions++;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Inputs -----------------------------------------------------------------------------------*/

static void fatal(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, errno != 0 ? strerror(errno) : "not a corpus");
    exit(2);
}

/* Keeps and runs an input. */
static void add_seed(const uint8_t *data, size_t size)
{
    seed *seeds = realloc(run.seeds, (run.count + 1) * sizeof(*seeds));
    if (seeds == NULL)
        fatal("realloc");
    run.seeds = seeds;
    seeds[run.count].data = fuzz_malloc(size);
    if (size != 0)
        memcpy(seeds[run.count].data, data, size);
    seeds[run.count++].size = size;
    execute(data, size);
}

/* Reads all of a stream; more than capacity is left out. */
static size_t read_all(int fd, uint8_t *out, size_t capacity, const char *path)
{
    size_t size = 0;
    ssize_t n;
    while (size < capacity && (n = read(fd, out + size, capacity - size)) != 0) {
        if (n < 0)
            fatal(path);
        size += (size_t)n;
    }
    return size;
}

/* A pack is inputs end to end, each behind its length in 4 bytes, little-endian. */
static void add_pack(const uint8_t *data, size_t size, const char *path)
{
    errno = 0;
    while (size != 0) {
        uint32_t length = size >= 4 ? sv2_load_u32(data) : UINT32_MAX;
        if (length > size - 4 || length > FUZZ_MAX_INPUT)
            fatal(path);
        add_seed(data + 4, length);
        data += 4 + (size_t)length;
        size -= 4 + (size_t)length;
    }
}

static void add_file(const char *path)
{
    size_t capacity = 16 * FUZZ_MAX_INPUT, size;
    uint8_t *data = fuzz_malloc(capacity);
    const char *suffix = strrchr(path, '.');
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY);
    if (fd < 0)
        fatal(path);
    size = read_all(fd, data, capacity, path);
    if (fd != STDIN_FILENO)
        close(fd);
    if (suffix != NULL && strcmp(suffix, ".pack") == 0)
        add_pack(data, size, path);
    else
        add_seed(data, least(size, FUZZ_MAX_INPUT));
    free(data);
}

static void add_path(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    if (folder == NULL) {
        add_file(path);
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        add_path(file);
    }
    closedir(folder);
}

/* ---- The built-in generator -------------------------------------------------------------------*/

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(next_random(&run.random) % n);
}

static uint8_t interesting(void)
{
    static const uint8_t values[] = {0, 1, 2, 3, 31, 32, 33, 0x7f, 0x80, 0xfe, 0xff};
    return values[below(sizeof(values))];
}

/* Opens a gap of n bytes at input[at] or closes one, within limit. */
static size_t resize_at(size_t at, size_t size, size_t n, bool grow, size_t limit)
{
    if (grow) {
        if (size + n > limit)
            return size;
        memmove(input + at + n, input + at, size - at);
        for (size_t i = 0; i < n; i++)
            input[at + i] = (uint8_t)next_random(&run.random);
        return size + n;
    }
    n = least(n, size - at);
    memmove(input + at, input + at + n, size - at - n);
    return size - n;
}

static void overwrite_from_seed(size_t at, size_t size)
{
    const seed *from = &run.seeds[below(run.count)];
    size_t start = below(from->size), n = 1 + below(32);
    n = least(n, least(from->size - start, size - at));
    if (n != 0)
        memcpy(input + at, from->data + start, n);
}

static size_t mutate(size_t size, size_t limit)
{
    size_t at = below(size + 1);
    bool inside = at < size;
    switch (below(8)) {
    case 0:
        if (inside)
            input[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1:
        if (inside)
            input[at] = (uint8_t)next_random(&run.random);
        return size;
    case 2:
    case 3:
        if (inside)
            input[at] = interesting();
        return size;
    case 4:
        if (inside)
            input[at] = (uint8_t)(input[at] + below(5) - 2);
        return size;
    case 5:
        return resize_at(at, size, 1 + below(8), true, limit);
    case 6:
        return resize_at(at, size, 1 + below(below(8) == 0 ? size + 1 : 8), false, limit);
    default:
        if (inside && run.count != 0)
            overwrite_from_seed(at, size);
        return size;
    }
}

static size_t make_input(size_t limit)
{
    size_t size = 0, i;
    if (run.count != 0 && below(64) != 0) {
        const seed *from = &run.seeds[below(run.count)];
        size = least(from->size, limit);
        if (size != 0)
            memcpy(input, from->data, size);
    } else {
        size = below(below(4) == 0 ? limit : 64);
        for (i = 0; i < size; i++)
            input[i] = below(2) == 0 ? interesting() : (uint8_t)next_random(&run.random);
    }
    for (i = below(6); i > 0; i--)
        size = mutate(size, limit);
    return size;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void generate(uint64_t count, double seconds, size_t limit)
{
    double end = now() + seconds;
    uint64_t i;
    for (i = 0; i < count; i++) {
        if (seconds > 0 && i % 256 == 0 && now() >= end)
            return;
        execute(input, make_input(limit));
    }
}

/* ---- AFL++ ------------------------------------------------------------------------------------*/

#ifdef __AFL_FUZZ_TESTCASE_LEN
__AFL_FUZZ_INIT();

static void afl(void)
{
    const uint8_t *data;
    __AFL_INIT();
    data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(100000)) {
        size_t size = (size_t)__AFL_FUZZ_TESTCASE_LEN;
        if (size <= FUZZ_MAX_INPUT)
            execute(data, size);
    }
}
#endif

/* ---- Command line -----------------------------------------------------------------------------*/

int main(int argc, char **argv)
{
    uint64_t count = 0, seed_number = 1;
    double seconds = 0, start;
    size_t limit = 4096;
    int option, i;
    watch_signals(argv[0]);
#ifdef __AFL_FUZZ_TESTCASE_LEN
    if (argc == 1) {
        afl();
        return 0;
    }
#endif
    while ((option = getopt(argc, argv, "n:t:s:m:")) != -1) {
        if (option == 'n')
            count = strtoull(optarg, NULL, 10);
        else if (option == 't')
            seconds = strtod(optarg, NULL);
        else if (option == 's')
            seed_number = strtoull(optarg, NULL, 10);
        else if (option == 'm')
            limit = least(strtoull(optarg, NULL, 10), FUZZ_MAX_INPUT);
        else
            return 2;
    }
    run.random = seed_number;
    start = now();
    for (i = optind; i < argc; i++)
        add_path(argv[i]);
    if (count != 0 || seconds > 0)
        generate(count != 0 ? count : UINT64_MAX, seconds, limit);
    printf("%llu executions, %zu seeds, %.1f s\n", (unsigned long long)run.executions, run.count,
           now() - start);
    while (run.count > 0)
        free(run.seeds[--run.count].data);
    free(run.seeds);
    return run.executions != 0 ? 0 : 2;
}

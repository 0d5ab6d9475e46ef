/*
 * The task that every contender supervises. It tells the bench by a datagram when its first
 * instruction ran, by its own clock, so that nothing of the bench's own waking is in a figure.
 *
 *   kid beacon SOCKET CONTENDER INDEX    tell, and sleep
 *   kid escape SOCKET CONTENDER INDEX    the same, leaving behind a grandchild that has its own
 *                                        session and another parent
 *   kid hog    SOCKET CONTENDER INDEX TOTAL LIMIT DELAY_MS PROGRESS
 *                                        touch TOTAL bytes as fast as it goes, after a delay, and
 *                                        note in PROGRESS.PID when LIMIT was crossed
 *   kid spew   SOCKET CONTENDER INDEX BYTES
 *                                        write so much in numbered lines of 100 bytes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define LINE 100
#define LINES_PER_WRITE 65

/* The reader is src/beacon.rs. */
enum kind { STARTED = 1, WROTE = 2, ESCAPED = 3 };

struct message {
    uint32_t magic;
    uint32_t kind;
    uint32_t contender;
    uint32_t index;
    uint64_t pid;
    uint64_t at_ns;
    uint64_t extra;
};

/* The reader is src/scenario/memory.rs. */
struct progress {
    uint64_t touched;
    uint64_t crossed_ns;
    uint64_t last_ns;
};

static int bench;
static struct sockaddr_un address;
static uint32_t contender;
static uint32_t task;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void tell(enum kind kind, uint64_t at_ns, uint64_t extra) {
    struct message message = {0x5b5b5b5b, kind, contender, task, (uint64_t)getpid(), at_ns, extra};
    sendto(bench, &message, sizeof message, 0, (struct sockaddr *)&address, sizeof address);
}

static void sleep_for_ever(void) {
    for (;;) {
        pause();
    }
}

static void escape(uint64_t born_ns) {
    if (fork() == 0) {
        setsid();
        if (fork() != 0) {
            _exit(0);
        }
        tell(ESCAPED, now(), 0);
        sleep_for_ever();
    }
    tell(STARTED, born_ns, 0);
}

static void hog(uint64_t born_ns, char **words) {
    uint64_t total = strtoull(words[0], NULL, 10);
    uint64_t limit = strtoull(words[1], NULL, 10);
    uint64_t delay_ms = strtoull(words[2], NULL, 10);
    char path[256];
    snprintf(path, sizeof path, "%s.%d", words[3], getpid());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, PAGE) < 0) {
        _exit(3);
    }
    /* In a shared mapping the last word is kept whatever kills us, and costs no system call. */
    volatile struct progress *progress =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    volatile char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (progress == MAP_FAILED || memory == MAP_FAILED) {
        _exit(3);
    }
    madvise((void *)memory, total, MADV_NOHUGEPAGE);
    tell(STARTED, born_ns, 0);
    /* A delay of its own each time, so that no poller is met always at the same phase. */
    usleep((useconds_t)(delay_ms + born_ns / 1000 % 1000) * 1000);
    for (uint64_t at = 0; at < total; at += PAGE) {
        memory[at] = 1;
        uint64_t touched_ns = now();
        progress->touched = at + PAGE;
        progress->last_ns = touched_ns;
        if (at + PAGE == limit) {
            progress->crossed_ns = touched_ns;
        }
    }
}

static void number_line(char *line, uint64_t number) {
    for (int digit = 14; digit >= 0; digit--) {
        line[digit] = (char)('0' + number % 10);
        number /= 10;
    }
    line[15] = ' ';
    line[LINE - 1] = '\n';
}

static void spew(uint64_t bytes) {
    static char lines[LINES_PER_WRITE * LINE];
    for (size_t at = 0; at < sizeof lines; at++) {
        lines[at] = (char)('a' + at % 23);
    }
    /* A reader that dies must not end us: how its lines are lost is what is measured. */
    signal(SIGPIPE, SIG_IGN);
    uint64_t begun_ns = now();
    tell(STARTED, begun_ns, 0);
    uint64_t total = bytes / LINE;
    for (uint64_t number = 0; number < total;) {
        uint64_t batch = total - number < LINES_PER_WRITE ? total - number : LINES_PER_WRITE;
        for (uint64_t line = 0; line < batch; line++) {
            number_line(lines + line * LINE, number++);
        }
        for (size_t done = 0; done < batch * LINE;) {
            ssize_t written = write(STDOUT_FILENO, lines + done, batch * LINE - done);
            if (written >= 0) {
                done += (size_t)written;
            } else {
                usleep(1000);
            }
        }
    }
    tell(WROTE, begun_ns, now());
}

int main(int count, char **words) {
    uint64_t born_ns = now();
    if (count < 5) {
        return 2;
    }
    const char *mode = words[1];
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, words[2], sizeof address.sun_path - 1);
    contender = (uint32_t)atoi(words[3]);
    task = (uint32_t)atoi(words[4]);
    bench = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!strcmp(mode, "beacon")) {
        tell(STARTED, born_ns, 0);
    } else if (!strcmp(mode, "escape")) {
        escape(born_ns);
    } else if (!strcmp(mode, "hog") && count == 9) {
        hog(born_ns, words + 5);
    } else if (!strcmp(mode, "spew") && count == 6) {
        spew(strtoull(words[5], NULL, 10));
    } else {
        return 2;
    }
    sleep_for_ever();
}

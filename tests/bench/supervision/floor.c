/*
 * The least that a supervisor can do, one duty at a time: what every contender is compared with.
 *
 *   floor wait -- CHILD...               start it again whenever it ends
 *   floor poll BYTES MS -- CHILD...      also end it when its resident set is over BYTES, looking
 *                                        every MS milliseconds
 *   floor cgroup BYTES -- CHILD...       also give it a memory control group of BYTES
 *   floor log DIR ROTATE BUFFER -- CHILD...
 *                                        keep its output in DIR, a new file every ROTATE bytes,
 *                                        read BUFFER bytes at a time
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char **command;
static volatile pid_t child;

static void fail(const char *what) {
    perror(what);
    _exit(1);
}

static void end(int signal_number) {
    (void)signal_number;
    if (child > 0) {
        kill(child, SIGKILL);
    }
    _exit(0);
}

/* vfork copies no page tables, so that the floor does not grow with the memory of its caller. */
static pid_t start(int output) {
    pid_t pid = vfork();
    if (pid == 0) {
        if (output >= 0) {
            dup2(output, STDOUT_FILENO);
            dup2(output, STDERR_FILENO);
        }
        execve(command[0], command, environ);
        _exit(127);
    }
    if (pid < 0) {
        fail("vfork");
    }
    return pid;
}

static void wait_for_child(void) {
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
}

static void supervise(void) {
    for (;;) {
        child = start(-1);
        wait_for_child();
    }
}

/* Pages resident, from the second field of /proc/PID/statm. */
static uint64_t resident_bytes(int statm) {
    char text[256];
    ssize_t length = pread(statm, text, sizeof text - 1, 0);
    if (length <= 0) {
        return 0;
    }
    text[length] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void supervise_polling(uint64_t limit, int interval_ms) {
    for (;;) {
        child = start(-1);
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/statm", child);
        int statm = open(path, O_RDONLY | O_CLOEXEC);
        int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
        struct pollfd ended = {pidfd, POLLIN, 0};
        while (poll(&ended, 1, interval_ms) == 0) {
            if (resident_bytes(statm) > limit) {
                syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
            }
        }
        wait_for_child();
        close(pidfd);
        close(statm);
    }
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0) {
        fail(path);
    }
    close(file);
}

static void supervise_in_cgroup(const char *limit) {
    /* Version 1 has a hierarchy of its own for memory; version 2 has one for everything. */
    struct stat seen;
    int is_v1 = stat("/sys/fs/cgroup/memory", &seen) == 0;
    char group[96];
    snprintf(group, sizeof group, "/sys/fs/cgroup/%scerebro-bench-floor-%d",
             is_v1 ? "memory/" : "", getpid());
    if (mkdir(group, 0755) < 0) {
        fail(group);
    }
    char file[160];
    snprintf(file, sizeof file, "%s/%s", group, is_v1 ? "memory.limit_in_bytes" : "memory.max");
    write_text(file, limit);
    snprintf(file, sizeof file, "%s/cgroup.procs", group);
    for (;;) {
        child = fork();
        if (child == 0) {
            write_text(file, "0");
            execve(command[0], command, environ);
            _exit(127);
        }
        wait_for_child();
    }
}

static const char *log_directory;
static uint64_t rotate_at;
static uint64_t in_file;
static int log_file = -1;

static void next_log_file(void) {
    static int number;
    char path[512];
    if (log_file >= 0) {
        close(log_file);
    }
    snprintf(path, sizeof path, "%s/log.%06d", log_directory, number++);
    log_file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log_file < 0) {
        fail(path);
    }
    in_file = 0;
}

static void append(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(log_file, bytes, length);
        if (written < 0) {
            fail("write");
        }
        bytes += written;
        length -= (size_t)written;
        in_file += (uint64_t)written;
    }
}

static void capture(size_t buffer_size) {
    mkdir(log_directory, 0755);
    next_log_file();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        fail("pipe2");
    }
    fcntl(ends[1], F_SETPIPE_SZ, buffer_size);
    /* Mapped, so that a page which no read ever fills is never there. */
    char *buffer =
        mmap(NULL, buffer_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) {
        fail("mmap");
    }
    child = start(ends[1]);
    close(ends[1]);
    for (;;) {
        ssize_t length = read(ends[0], buffer, buffer_size);
        if (length <= 0) {
            break;
        }
        size_t whole = (size_t)length;
        if (in_file + whole >= rotate_at) {
            /* No line may be in two files. */
            char *newline = memrchr(buffer, '\n', whole);
            if (newline) {
                size_t first = (size_t)(newline - buffer) + 1;
                append(buffer, first);
                next_log_file();
                append(buffer + first, whole - first);
                continue;
            }
        }
        append(buffer, whole);
    }
    wait_for_child();
}

int main(int count, char **words) {
    int dashes = 1;
    while (dashes < count && strcmp(words[dashes], "--") != 0) {
        dashes++;
    }
    command = words + dashes + 1;
    if (dashes + 1 >= count) {
        fprintf(stderr, "floor MODE [ARGUMENT]... -- CHILD...\n");
        return 2;
    }
    signal(SIGTERM, end);
    signal(SIGINT, end);
    const char *mode = words[1];
    if (!strcmp(mode, "wait") && dashes == 2) {
        supervise();
    }
    if (!strcmp(mode, "poll") && dashes == 4) {
        supervise_polling(strtoull(words[2], NULL, 10), atoi(words[3]));
    }
    if (!strcmp(mode, "cgroup") && dashes == 3) {
        supervise_in_cgroup(words[2]);
    }
    if (!strcmp(mode, "log") && dashes == 5) {
        log_directory = words[2];
        rotate_at = strtoull(words[3], NULL, 10);
        capture(strtoull(words[4], NULL, 10));
        return 0;
    }
    fprintf(stderr, "floor: no such mode, or not its arguments: %s\n", mode);
    return 2;
}

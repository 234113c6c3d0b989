/* Signals of every kind, as many as the second argument says, to a process whose counts are in the file
 * of the first: queued ones with numbers from another process, ordinary ones each after the last has
 * arrived, timers of every kind, and SIGCHLDs of short-lived children. Words of the file: undisturbed_signals.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6
#define MOST (16 << 20)
#define ORDINARY 6

struct shared {
    uint64_t ready, wanted, sent, received, doubled, strange, done;
    uint64_t ordinary_sent, ordinary_got;
    uint64_t timer_ticks, timer_overruns, alarms, thread_ticks;
    uint64_t children, reaped, child_signals, wrong_status;
    uint64_t tids[THREADS];
    uint64_t unused[489];
    uint8_t seen[MOST];
};

static volatile struct shared *shared;
static pid_t target;

static uint64_t add(volatile uint64_t *word, uint64_t count)
{
    return __sync_fetch_and_add(word, count);
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    uint32_t number = (uint32_t)info->si_value.sival_int;
    if (info->si_code != SI_QUEUE || number >= MOST) {
        add(&shared->strange, 1);
        return;
    }
    if (__sync_fetch_and_add(&shared->seen[number], 1) != 0)
        add(&shared->doubled, 1);
    add(&shared->received, 1);
}

static void on_ordinary(int signal)
{
    (void)signal;
    add(&shared->ordinary_got, 1);
}

static void on_timer(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_code != SI_TIMER)
        add(&shared->strange, 1);
    add(&shared->timer_ticks, 1);
    add(&shared->timer_overruns, (uint64_t)info->si_overrun);
}

static void on_alarm(int signal)
{
    (void)signal;
    add(&shared->alarms, 1);
}

static void on_child(int signal)
{
    (void)signal;
    add(&shared->child_signals, 1);
}

static void handle(int signal, void (*handler)(int), void (*with_info)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    if (with_info) {
        action.sa_sigaction = with_info;
        action.sa_flags |= SA_SIGINFO;
    }
    sigaction(signal, &action, NULL);
}

static void *wait_or_work(void *argument)
{
    int index = (int)(intptr_t)argument;
    shared->tids[index] = (uint64_t)syscall(SYS_gettid);
    for (volatile uint64_t i = 0;; i++)
        if (index % 2 || i % 100000 == 0)
            usleep(500);
    return NULL;
}

/* Children that end at once, each with a status of its own. */
static void *bear_children(void *unused)
{
    (void)unused;
    while (!shared->done) {
        int expected = (int)(shared->children % 200);
        pid_t child = fork();
        if (child == 0)
            _exit(expected);
        if (child < 0)
            continue;
        add(&shared->children, 1);
        int status;
        while (waitpid(child, &status, 0) != child)
            if (errno != EINTR)
                abort();
        if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
            add(&shared->wrong_status, 1);
        add(&shared->reaped, 1);
        usleep(200);
    }
    return NULL;
}

static void start_timers(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5 };
    struct itimerspec each = { .it_interval = { .tv_nsec = 500000 }, .it_value = { .tv_nsec = 500000 } };
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &each, NULL) != 0)
        abort();
    struct itimerval value = { .it_interval = { .tv_usec = 700 }, .it_value = { .tv_usec = 700 } };
    setitimer(ITIMER_REAL, &value, NULL);
}

static void be_target(void)
{
    handle(SIGRTMIN, NULL, on_queued);
    handle(SIGRTMIN + 1, NULL, on_queued);
    handle(SIGRTMIN + 5, NULL, on_timer);
    handle(SIGALRM, on_alarm, NULL);
    handle(SIGCHLD, on_child, NULL);
    static const int ordinary[ORDINARY] = { SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGWINCH, SIGURG };
    for (int i = 0; i < ORDINARY; i++)
        handle(ordinary[i], on_ordinary, NULL);
    for (int i = 1; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, wait_or_work, (void *)(intptr_t)i) != 0)
            abort();
    }
    pthread_t bearer;
    if (pthread_create(&bearer, NULL, bear_children, NULL) != 0)
        abort();
    start_timers();
    wait_or_work((void *)0);
}

static int send_numbered(uint64_t number)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_int = (int)number;
    if (number % 2)
        return (int)syscall(SYS_rt_sigqueueinfo, target, SIGRTMIN, &info);
    pid_t tid = (pid_t)shared->tids[number / 2 % THREADS];
    return (int)syscall(SYS_rt_tgsigqueueinfo, target, tid, SIGRTMIN + 1, &info);
}

static void be_sender(void)
{
    static const int ordinary[ORDINARY] = { SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGWINCH, SIGURG };
    struct timespec pause = { .tv_nsec = 100000 };
    prctl(PR_SET_TIMERSLACK, 1);
    while (shared->sent < shared->wanted) {
        for (int burst = 0; burst < 8 && shared->sent < shared->wanted; burst++) {
            if (shared->sent >= shared->received + 5000 || send_numbered(shared->sent) != 0)
                break;
            add(&shared->sent, 1);
        }
        if (shared->ordinary_got == shared->ordinary_sent) {
            int signal = ordinary[add(&shared->ordinary_sent, 1) % ORDINARY];
            kill(target, signal);
        }
        nanosleep(&pause, NULL);
    }
    shared->done = 1;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 3)
        return 2;
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *shared) != 0)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        return 2;
    shared->wanted = (uint64_t)atoll(argv[2]) < MOST ? (uint64_t)atoll(argv[2]) : MOST;
    target = getpid();
    pid_t sender = fork();
    if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < THREADS; i++)
            while (shared->tids[i] == 0)
                usleep(1000);
        shared->ready = 1;
        be_sender();
        pause();
    }
    be_target();
}

// Under a filter that kills for every system call which is not in the list of threaddump-relay(7).
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// The same by other names.
#if defined __i386__
#undef SYS_fcntl
#define SYS_fcntl SYS_fcntl64
#undef SYS_fstat
#define SYS_fstat SYS_fstat64
#define SYS_newfstatat SYS_statx
#elif defined __aarch64__
#define SYS_poll SYS_ppoll
#define SYS_pause SYS_ppoll
#endif

static const int allowed[] = {
    // What a dump needs.
    SYS_clock_gettime, SYS_close, SYS_fcntl, SYS_fstat, SYS_futex, SYS_getdents64, SYS_getpid, SYS_gettid,
    SYS_openat, SYS_poll, SYS_read, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_rt_tgsigqueueinfo, SYS_sigaltstack, SYS_write,
    // What this program needs.
    SYS_exit_group, SYS_tgkill, SYS_pause, SYS_newfstatat,
};
#define COUNT (sizeof allowed / sizeof *allowed)

static void filter(void) {
    struct sock_filter code[COUNT + 3];
    int n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < COUNT; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], COUNT - i, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = n, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        _exit(9);
}

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(int count, char **arguments) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, NULL);
    usleep(10000);
    filter();
    raise(count > 1 && !strcmp(arguments[1], "crash") ? SIGSEGV : SIGQUIT);
    puts("went on");
    return 0;
}

// Faults of all kinds, and signals that only look like them. With "filter", a thread that queues a signal is
// killed alone; a second thread that cannot be asked is there all the time.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void filter(int number, unsigned answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
        _exit(9);
}

static void *sleeper(void *ready) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    *(volatile int *)ready = 1;
    for (;;)
        sleep(1000);
}

int main(int count, char **arguments) {
    const char *how = count > 1 ? arguments[1] : "";
    volatile int zero = 0, ready = 0;
    pthread_t thread;
    if (strcmp(how, "alone")) {
        pthread_create(&thread, NULL, sleeper, (void *)&ready);
        while (!ready)
            usleep(1000);
    }
    if (count > 2)
        filter(SYS_rt_tgsigqueueinfo, SECCOMP_RET_KILL_THREAD);
    puts("ready");
    fflush(stdout);
    if (!strcmp(how, "segv") || !strcmp(how, "alone"))
        *(volatile int *)0x10 = 1;
    if (!strcmp(how, "general"))
        *(volatile int *)0x8000000000000000 = 1;
    if (!strcmp(how, "bus")) {
        char name[] = "/tmp/threaddump-bus-XXXXXX";
        int fd = mkstemp(name);
        unlink(name);
        *(volatile char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) = 1;
    }
    if (!strcmp(how, "fpe"))
        printf("%d\n", 100 / zero);
    if (!strcmp(how, "ill"))
        __asm__ volatile("ud2");
    if (!strcmp(how, "trap"))
        __asm__ volatile("int3");
    if (!strcmp(how, "sys")) {
        filter(SYS_getppid, SECCOMP_RET_TRAP);
        getppid();
    }
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "raise"))
        raise(SIGBUS);
    if (!strcmp(how, "kill"))
        kill(getpid(), SIGSEGV);
    if (!strcmp(how, "frame")) {
        // No room for the frame of a signal: the kernel forces a fault that no instruction has made.
        signal(SIGUSR1, (void (*)(int))main);
        kill(getpid(), 0);
        __asm__ volatile("mov $0x1000, %%rsp\n mov $39, %%eax\n syscall\n mov %%eax, %%edi\n mov $10, %%esi\n"
                         "mov $62, %%eax\n syscall\n 1: jmp 1b" ::: "memory");
    }
    puts("went on");
    fflush(stdout);
    return 0;
}

// A library that crashes while it is loaded, which is done with the lock of the dynamic linker held.
__attribute__((constructor)) static void crash(void) { *(volatile int *)8 = 1; }

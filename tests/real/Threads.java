import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.locks.LockSupport;

/** Threads that sleep, wait for a monitor, park and read, some of them called from compiled code. */
public class Threads {
    static final Object MONITOR = new Object();
    static final SynchronousQueue<Object> QUEUE = new SynchronousQueue<>();
    static volatile long sink;

    static void block(int kind) throws Exception {
        switch (kind % 4) {
            case 0: Thread.sleep(Long.MAX_VALUE); break;
            case 1: synchronized (MONITOR) { MONITOR.wait(); } break;
            case 2: LockSupport.park(); break;
            default: QUEUE.take();
        }
    }

    static void deeper(int kind, int depth, boolean stay) throws Exception {
        sink += depth;
        if (depth > 0) deeper(kind, depth - 1, stay);
        else if (stay) block(kind);
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 20_000; i++) deeper(0, 10, false);
        for (int i = 0; i < 12; i++) {
            final int kind = i;
            Thread thread = new Thread(() -> {
                try { deeper(kind, kind * 3, true); } catch (Exception error) { error.printStackTrace(); }
            }, "java" + i);
            thread.setDaemon(true);
            thread.start();
        }
        Thread.sleep(1000);
        System.out.println("ready");
        Thread.sleep(Long.MAX_VALUE);
    }
}

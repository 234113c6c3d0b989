import java.util.concurrent.locks.LockSupport;

/** A thread that waits, called from compiled code. */
public class Compiled {
    static void parked(int depth) {
        if (depth > 0) parked(depth - 1);
        else while (true) LockSupport.park();
    }

    static long outermost(int depth) {
        parked(depth);
        return depth;
    }

    public static void main(String[] arguments) throws Exception {
        Thread thread = new Thread(() -> outermost(3), "waits");
        thread.setDaemon(true);
        thread.start();
        Thread.sleep(500);
        System.out.println("ready");
        Thread.sleep(Long.MAX_VALUE);
    }
}

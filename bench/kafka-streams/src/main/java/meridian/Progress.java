package meridian;

import java.util.concurrent.atomic.AtomicLong;

/** How many events are through: read from the source, sent to a view, folded by it. */
final class Progress {
    private final AtomicLong read = new AtomicLong();
    private final AtomicLong sent = new AtomicLong();
    private final AtomicLong folded = new AtomicLong();

    void read() {
        read.incrementAndGet();
    }

    void sent() {
        sent.incrementAndGet();
    }

    void folded() {
        folded.incrementAndGet();
    }

    /** Whether so many events are read, and folded by every view that they concern. */
    boolean reached(long events) {
        return read.get() >= events && folded.get() >= sent.get();
    }

    /** Foldings so far: an event's in each view. */
    long foldings() {
        return folded.get();
    }
}

package meridian;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;

/** Where a run was at one moment. */
record Measured(long ns, long cpuNs, long foldings) {
    static Measured now(Progress progress) {
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return new Measured(System.nanoTime(), system.getProcessCpuTime(), progress.foldings());
    }

    /** As JSON, what was done since an earlier moment, of {@code events} that are all folded now. */
    String since(Measured start, long events) {
        double share = (double) (foldings - start.foldings) / foldings;
        double seconds = (ns - start.ns) / 1e9;
        double cpuSeconds = (cpuNs - start.cpuNs) / 1e9;
        return String.format(Locale.ROOT,
                "{\"seconds\": %.2f, \"cpu_seconds\": %.2f, \"events_per_s\": %.0f, \"events_per_cpu_s\": %.0f}",
                seconds, cpuSeconds, share * events / seconds, share * events / cpuSeconds);
    }
}

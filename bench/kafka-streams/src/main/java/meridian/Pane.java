package meridian;

import com.datadoghq.sketch.ddsketch.DDSketch;
import com.datadoghq.sketch.ddsketch.DDSketches;
import com.datadoghq.sketch.ddsketch.encoding.ByteArrayInput;
import com.datadoghq.sketch.ddsketch.encoding.GrowingByteArrayOutput;
import com.datadoghq.sketch.ddsketch.store.UnboundedSizeDenseStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.datasketches.memory.Memory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What the windowed features of a view keep of one entity in one span of event time. */
final class Pane {
    /** Relative error of quantiles, as in the catalog. */
    private static final double ACCURACY = 0.01;
    /** 2^14 registers: one standard error below 1 %, as in the catalog. */
    private static final int LOG_REGISTERS = 14;

    static final Serde<Pane> SERDE =
            Serdes.serdeFrom((topic, pane) -> pane.toBytes(), (topic, bytes) -> fromBytes(bytes));

    private long departures;
    private long late;
    private long delays;
    private long delaySum;
    private long worst = Long.MIN_VALUE;
    private double miles;
    private DDSketch delayQuantiles = DDSketches.unboundedDense(ACCURACY);
    private HllSketch destinations = new HllSketch(LOG_REGISTERS, TgtHllType.HLL_8);

    Pane add(Flight flight) {
        departures++;
        miles += flight.miles();
        destinations.update(flight.destination());
        if (flight.timed()) {
            delays++;
            delaySum += flight.delay();
            worst = Math.max(worst, flight.delay());
            late += flight.delay() > 15 ? 1 : 0;
            delayQuantiles.accept(flight.delay());
        }
        return this;
    }

    private byte[] toBytes() {
        try {
            GrowingByteArrayOutput sketch = GrowingByteArrayOutput.withDefaultInitialCapacity();
            delayQuantiles.encode(sketch, false);
            byte[] quantiles = sketch.trimmedCopy();
            byte[] distinct = destinations.toCompactByteArray();
            return ByteBuffer.allocate(6 * Long.BYTES + Integer.BYTES + quantiles.length + distinct.length)
                    .putLong(departures).putLong(late).putLong(delays).putLong(delaySum).putLong(worst)
                    .putDouble(miles).putInt(quantiles.length).put(quantiles).put(distinct).array();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Pane fromBytes(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Pane pane = new Pane();
        pane.departures = in.getLong();
        pane.late = in.getLong();
        pane.delays = in.getLong();
        pane.delaySum = in.getLong();
        pane.worst = in.getLong();
        pane.miles = in.getDouble();
        byte[] quantiles = new byte[in.getInt()];
        in.get(quantiles);
        byte[] distinct = new byte[in.remaining()];
        in.get(distinct);
        pane.destinations = HllSketch.heapify(Memory.wrap(distinct));
        try {
            pane.delayQuantiles = DDSketch.decode(ByteArrayInput.wrap(quantiles), UnboundedSizeDenseStore::new);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return pane;
    }
}

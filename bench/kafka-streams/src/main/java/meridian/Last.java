package meridian;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** An entity's destination of latest event time. */
record Last(long atMs, String destination) {
    static final Serde<Last> SERDE = Serdes.serdeFrom((topic, last) -> last.toBytes(), (topic, bytes) -> fromBytes(bytes));

    static Last later(Last last, Flight flight) {
        return last == null || last.atMs <= flight.atMs() ? new Last(flight.atMs(), flight.destination()) : last;
    }

    private byte[] toBytes() {
        byte[] text = destination.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(Long.BYTES + text.length).putLong(atMs).put(text).array();
    }

    private static Last fromBytes(byte[] bytes) {
        return bytes == null
                ? null
                : new Last(ByteBuffer.wrap(bytes).getLong(),
                        new String(bytes, Long.BYTES, bytes.length - Long.BYTES, StandardCharsets.UTF_8));
    }
}

package meridian;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * What the features need of a departure once its view's key is known: what goes through the topics that bring
 * events to whoever folds their key. Binary, as JSON would cost Kafka Streams more than it must.
 */
record Flight(long atMs, double miles, boolean timed, int delay, String destination) {
    private static final int FIXED = Long.BYTES + Double.BYTES + 1 + Integer.BYTES;

    static final Serde<Flight> SERDE =
            Serdes.serdeFrom((topic, flight) -> flight.toBytes(), (topic, bytes) -> fromBytes(bytes));

    static Flight of(Departure departure) {
        boolean timed = departure.delay() != null;
        return new Flight(departure.atMs(), departure.distance(), timed, timed ? departure.delay() : 0, departure.dest());
    }

    private byte[] toBytes() {
        byte[] text = destination.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(FIXED + text.length)
                .putLong(atMs).putDouble(miles).put((byte) (timed ? 1 : 0)).putInt(delay).put(text).array();
    }

    private static Flight fromBytes(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        return new Flight(in.getLong(), in.getDouble(), in.get() == 1, in.getInt(),
                new String(bytes, FIXED, bytes.length - FIXED, StandardCharsets.UTF_8));
    }
}

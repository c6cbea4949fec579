package meridian;

import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The four views of examples/departures/catalog. A window is read as a sum of panes there, so what is kept
 * up here are the same panes: tumbling windows of the panes' widths, kept for window, history and disorder.
 * Two things are left out that Meridian does: events are neither checked nor looked up by their ids.
 */
final class Features {
    private static final Duration DISORDER = Duration.ofHours(2);
    private static final Duration HISTORY = Duration.ofDays(90);

    record View(String name, Function<Departure, String> key, List<Panes> panes) {}

    record Panes(Duration width, Duration window) {}

    private static final Panes HOURS_OF_A_WEEK = new Panes(Duration.ofHours(1), Duration.ofDays(7));
    private static final Panes DAYS_OF_A_MONTH = new Panes(Duration.ofDays(1), Duration.ofDays(30));
    private static final Panes MINUTES_OF_AN_HOUR = new Panes(Duration.ofMinutes(1), Duration.ofHours(1));
    private static final Panes HOURS_OF_A_DAY = new Panes(Duration.ofHours(1), Duration.ofDays(1));

    static final List<View> VIEWS = List.of(
            new View("plane", Departure::tailnum, List.of(HOURS_OF_A_WEEK, DAYS_OF_A_MONTH)),
            new View("carrier", Departure::carrier, List.of(HOURS_OF_A_WEEK, DAYS_OF_A_MONTH)),
            new View("airport", Departure::origin, List.of(MINUTES_OF_AN_HOUR, HOURS_OF_A_DAY)),
            new View("route", d -> d.origin() + "-" + d.dest(), List.of(HOURS_OF_A_WEEK)));

    private Features() {}

    static Topology topology(String topic, int partitions, Progress progress) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<byte[], Departure> consumed = Consumed.with(Serdes.ByteArray(), Departure.JSON);
        KStream<byte[], Departure> departures = builder
                .stream(topic, consumed.withTimestampExtractor(Features::eventTimeMs))
                .peek((key, departure) -> progress.read())
                // A cancelled one has no time.
                .filter((key, departure) -> departure.atMs() != null);
        VIEWS.forEach(view -> fold(view, departures, partitions, progress));
        return builder.build();
    }

    /** Of a cancelled departure it does not matter: it goes no further. */
    private static long eventTimeMs(ConsumerRecord<Object, Object> record, long partitionTimeMs) {
        Departure departure = (Departure) record.value();
        return departure.atMs() == null ? Math.max(partitionTimeMs, 0) : departure.atMs();
    }

    private static void fold(View view, KStream<byte[], Departure> departures, int partitions, Progress progress) {
        KStream<String, Flight> byKey = departures
                .filter((key, departure) -> view.key().apply(departure) != null)
                .peek((key, departure) -> progress.sent())
                .map((key, departure) -> KeyValue.pair(view.key().apply(departure), Flight.of(departure)))
                .repartition(Repartitioned.with(Serdes.String(), Flight.SERDE)
                        .withName(view.name())
                        .withNumberOfPartitions(partitions));
        Grouped<String, Flight> grouped = Grouped.with(Serdes.String(), Flight.SERDE);
        for (Panes panes : view.panes()) {
            // A pane that is over is kept as long as a window may reach back to it, and takes what comes
            // late that long: partitions are read at different paces, and nothing is to be left out.
            Duration open = panes.window().plus(HISTORY).plus(DISORDER);
            Duration kept = open.plus(panes.width());
            byKey.groupByKey(grouped)
                    .windowedBy(TimeWindows.ofSizeAndGrace(panes.width(), open))
                    .aggregate(Pane::new, (key, flight, pane) -> pane.add(flight),
                            Materialized.<String, Pane, WindowStore<Bytes, byte[]>>as(
                                            view.name() + "-" + panes.width().toMinutes() + "m")
                                    .withKeySerde(Serdes.String())
                                    .withValueSerde(Pane.SERDE)
                                    .withRetention(kept));
        }
        byKey.peek((key, flight) -> progress.folded())
                .groupByKey(grouped)
                .aggregate(() -> null, (key, flight, last) -> Last.later(last, flight),
                        Materialized.<String, Last, KeyValueStore<Bytes, byte[]>>as(view.name() + "-last")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Last.SERDE));
    }
}

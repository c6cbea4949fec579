package meridian;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;

/**
 * Folds what a topic holds, exactly once, and says how fast and with how much CPU.
 *
 * <p>Usage: DeparturesStreams BOOTSTRAP TOPIC PARTITIONS STATE-DIR. Prints one line of JSON: over all, from the
 * first folding on, and over the second half, when the JVM has compiled what is hot.
 */
public final class DeparturesStreams {
    /** As many as the processor has cores. */
    private static final int THREADS = Runtime.getRuntime().availableProcessors();
    /** So that a pane which changes often is not written every time. The default is 10 MB. */
    private static final long CACHE_BYTES = 256L << 20;

    private DeparturesStreams() {}

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        String topic = args[1];
        int partitions = Integer.parseInt(args[2]);
        long events = count(bootstrap, topic, partitions);
        Progress progress = new Progress();
        KafkaStreams streams =
                new KafkaStreams(Features.topology(topic, partitions, progress), settings(bootstrap, Path.of(args[3])));
        streams.start();
        await(streams, () -> progress.foldings() > 0);
        Measured start = Measured.now(progress);
        await(streams, () -> progress.foldings() * 2 >= events * Features.VIEWS.size());
        Measured half = Measured.now(progress);
        await(streams, () -> progress.reached(events));
        Measured end = Measured.now(progress);
        System.out.printf("{\"events\": %d, \"dropped\": %d, \"all\": %s, \"second_half\": %s}%n",
                events, dropped(streams), end.since(start, events), end.since(half, events));
        streams.close(Duration.ofSeconds(30));
    }

    private static void await(KafkaStreams streams, BooleanSupplier done) throws InterruptedException {
        while (!done.getAsBoolean()) {
            if (streams.state() == KafkaStreams.State.ERROR) {
                throw new IllegalStateException("Kafka Streams ended with an error");
            }
            Thread.sleep(1);
        }
    }

    private static Properties settings(String bootstrap, Path state) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "departures-streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return settings;
    }

    /** Events that came too late for their panes; none should. */
    private static long dropped(KafkaStreams streams) {
        return streams.metrics().values().stream()
                .filter(metric -> metric.metricName().name().equals("dropped-records-total"))
                .mapToLong(metric -> ((Number) metric.metricValue()).longValue())
                .sum();
    }

    /** Events in the topic now. */
    private static long count(String bootstrap, String topic, int partitions) throws Exception {
        List<TopicPartition> all =
                IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            return sum(admin, all, OffsetSpec.latest()) - sum(admin, all, OffsetSpec.earliest());
        }
    }

    private static long sum(Admin admin, List<TopicPartition> all, OffsetSpec which) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = all.stream().collect(Collectors.toMap(p -> p, p -> which));
        return admin.listOffsets(asked).all().get().values().stream().mapToLong(o -> o.offset()).sum();
    }
}

import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic of public events from its beginning to its present end and prints one JSON object a line: partition, key,
 * headers, and value, or unreadable for what others put there. It knows nothing of Fluxion but the wire format: a byte 0,
 * the schema's id in four bytes, Avro.
 *
 * Arguments: Kafka's bootstrap servers, the schema registry's Confluent API, the topic.
 */
public final class SaleEventReader {
    private static final int HEADER_BYTES = 5;
    private static final Duration POLL = Duration.ofMillis(200);

    private final HttpClient http = HttpClient.newHttpClient();
    private final ObjectMapper json = new ObjectMapper();
    private final Map<Integer, GenericDatumReader<GenericRecord>> readers = new HashMap<>();
    private final String registry;

    private SaleEventReader(String registry) {
        this.registry = registry;
    }

    public static void main(String[] arguments) throws Exception {
        new SaleEventReader(arguments[1]).print(arguments[0], arguments[2]);
    }

    private void print(String servers, String topic) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(servers))) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(known -> new TopicPartition(topic, known.partition()))
                .collect(Collectors.toList());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                    out.println(line(record));
                }
            }
        }
    }

    private static Properties settings(String servers) {
        Properties chosen = new Properties();
        chosen.put("bootstrap.servers", servers);
        chosen.put("key.deserializer", ByteArrayDeserializer.class.getName());
        chosen.put("value.deserializer", ByteArrayDeserializer.class.getName());
        chosen.put("enable.auto.commit", "false");
        return chosen;
    }

    private String line(ConsumerRecord<byte[], byte[]> record) throws IOException, InterruptedException {
        ObjectNode shown = json.createObjectNode();
        shown.put("partition", record.partition());
        shown.put("key", text(record.key()));
        ObjectNode headers = shown.putObject("headers");
        for (Header header : record.headers()) {
            headers.put(header.key(), text(header.value()));
        }
        try {
            // Avro writes a generic record as JSON by itself; the mapper only sets it into the line.
            shown.set("value", json.readTree(decode(record.value()).toString()));
        } catch (UnreadableException foreign) {
            shown.put("unreadable", foreign.getMessage());
        }
        return json.writeValueAsString(shown);
    }

    private GenericRecord decode(byte[] data) throws IOException, InterruptedException, UnreadableException {
        ByteBuffer header = ByteBuffer.wrap(data);
        if (data.length < HEADER_BYTES || header.get() != 0) {
            throw new UnreadableException("the record does not begin with the schema registry's header");
        }
        return reader(header.getInt()).read(
            null, DecoderFactory.get().binaryDecoder(data, HEADER_BYTES, data.length - HEADER_BYTES, null));
    }

    private GenericDatumReader<GenericRecord> reader(int id) throws IOException, InterruptedException {
        if (!readers.containsKey(id)) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
            HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
            JsonNode found = json.readTree(answer.body());
            readers.put(id, new GenericDatumReader<>(new Schema.Parser().parse(found.get("schema").asText())));
        }
        return readers.get(id);
    }

    private static String text(byte[] held) {
        return held == null ? null : new String(held, StandardCharsets.UTF_8);
    }

    private static final class UnreadableException extends Exception {
        private UnreadableException(String message) {
            super(message);
        }
    }
}

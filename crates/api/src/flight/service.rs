//! The calls of Flight, with the commands of Flight SQL inside them.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt as _,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use moneta_ports::OpContext;
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use super::{AUTHORIZATION, Proved, metadata, refusal, statements};
use crate::ApiError;
use crate::state::App;

const CREATE_PREPARED: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";

/// The interface as Flight sees it.
pub(super) struct Flight {
    pub(super) state: App,
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Flight {
    /// The schema of what a command gives, and the ticket for it.
    async fn plan(&self, ctx: &OpContext, command: &[u8]) -> Result<(Schema, Ticket), Status> {
        let command = read(command)?;
        let (schema, ticket) = match command {
            Command::CommandStatementQuery(query) if query.transaction_id.is_some() => return Err(no_transactions()),
            Command::CommandStatementQuery(query) => {
                let schema = statements::schema(&self.state, ctx, &query.query).await?;
                (schema, TicketStatementQuery { statement_handle: query.query.into() }.as_any())
            }
            Command::CommandPreparedStatementQuery(query) => {
                let text = text_of(&query.prepared_statement_handle)?;
                (statements::schema(&self.state, ctx, text).await?, query.as_any())
            }
            other => (metadata::schema(&other)?, other.into_any()),
        };
        Ok((schema, Ticket { ticket: ticket.encode_to_vec().into() }))
    }
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let Some(Proved(bearer)) = request.extensions().get::<Proved>().cloned() else {
            return Err(Status::unauthenticated("sign in first"));
        };
        let token = bearer.as_bytes().to_vec().into();
        let mut response = Response::new(once(HandshakeResponse { protocol_version: 0, payload: token }));
        let value = MetadataValue::try_from(bearer.as_bytes()).map_err(|error| inside(&error))?;
        response.metadata_mut().insert(AUTHORIZATION, value);
        Ok(response)
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented("there are no flights to list; ask by commands of Flight SQL"))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let ctx = caller(&request)?;
        let descriptor = request.into_inner();
        let (schema, ticket) = self.plan(&ctx, &descriptor.cmd).await?;
        let info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(|error| inside(&error))?
            .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            .with_descriptor(descriptor);
        Ok(Response::new(info))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("there is nothing to poll: GetFlightInfo answers at once, and DoGet runs the query"))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let ctx = caller(&request)?;
        let (schema, _) = self.plan(&ctx, &request.into_inner().cmd).await?;
        let options = IpcWriteOptions::default();
        let result = SchemaResult::try_from(SchemaAsIpc::new(&schema, &options));
        result.map(Response::new).map_err(|error| inside(&error))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ctx = caller(&request)?;
        let (schema, batches) = match read(&request.into_inner().ticket)? {
            Command::TicketStatementQuery(ticket) => {
                statements::rows(&self.state, &ctx, text_of(&ticket.statement_handle)?).await?
            }
            Command::CommandPreparedStatementQuery(query) => {
                statements::rows(&self.state, &ctx, text_of(&query.prepared_statement_handle)?).await?
            }
            other => {
                let batch = metadata::batch(&self.state, &ctx, other)?;
                (batch.schema(), futures::stream::iter([Ok(batch)]).boxed())
            }
        };
        let encoded = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
        Ok(Response::new(encoded.map(|data| data.map_err(Status::from)).boxed()))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented(
            "nothing can be written or bound here: write values into the text, and send events to /v1/ingest",
        ))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let ctx = caller(&request)?;
        let action = request.into_inner();
        let command = read(&action.body);
        match (action.r#type.as_str(), command) {
            (CREATE_PREPARED, Ok(Command::ActionCreatePreparedStatementRequest(request))) => {
                let prepared = prepare(&self.state, &ctx, request).await?;
                let body = prepared.as_any().encode_to_vec().into();
                Ok(Response::new(once(arrow_flight::Result { body })))
            }
            (CLOSE_PREPARED, Ok(Command::ActionClosePreparedStatementRequest(_))) => {
                Ok(Response::new(futures::stream::empty().boxed()))
            }
            (CREATE_PREPARED | CLOSE_PREPARED, Err(error)) => Err(error),
            ("BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint", _) => Err(no_transactions()),
            ("CancelQuery" | "CancelFlightInfo", _) => {
                Err(Status::unimplemented("a query is stopped by giving up its stream"))
            }
            (other, _) => {
                let other: String = other.chars().take(64).collect();
                Err(Status::unimplemented(format!("there is no action {other:?} here")))
            }
        }
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let action = |name: &str, description: &str| {
            Ok(ActionType { r#type: name.to_owned(), description: description.to_owned() })
        };
        let actions = [
            action(CREATE_PREPARED, "Says what a statement gives; its handle is its text."),
            action(CLOSE_PREPARED, "Nothing is kept, so nothing is closed."),
        ];
        Ok(Response::new(futures::stream::iter(actions).boxed()))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("there is nothing to exchange here"))
    }
}

async fn prepare(
    state: &App,
    ctx: &OpContext,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    if request.transaction_id.is_some() {
        return Err(no_transactions());
    }
    let schema = statements::schema(state, ctx, &request.query).await?;
    let options = IpcWriteOptions::default();
    let encoded = IpcMessage::try_from(SchemaAsIpc::new(&schema, &options));
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: request.query.into(),
        dataset_schema: encoded.map_err(|error| inside(&error))?.0,
        // No schema: there are no parameters to bind.
        parameter_schema: Vec::new().into(),
    })
}

/// A command out of its envelope.
fn read(bytes: &[u8]) -> Result<Command, Status> {
    let unreadable = |error: &dyn std::fmt::Display| Status::invalid_argument(format!("this is no command: {error}"));
    let any = Any::decode(bytes).map_err(|error| unreadable(&error))?;
    Command::try_from(any).map_err(|error: ArrowError| unreadable(&error))
}

fn text_of(handle: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(handle).map_err(|_| Status::invalid_argument("the handle of a statement is its text"))
}

fn caller<T>(request: &Request<T>) -> Result<OpContext, Status> {
    let ctx = request.extensions().get::<OpContext>().cloned();
    ctx.ok_or_else(|| Status::unauthenticated("sign in first"))
}

fn once<T: Send + 'static>(answer: T) -> Answers<T> {
    futures::stream::iter([Ok(answer)]).boxed()
}

fn no_transactions() -> Status {
    Status::unimplemented("there are no transactions: every query sees what was stored when it began")
}

/// An error nobody outside can act on; the log has it.
pub(super) fn inside(error: &dyn std::error::Error) -> Status {
    refusal(&ApiError::internal(error))
}
